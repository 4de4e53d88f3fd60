"""A label scheme as the legend other programs read: ITK-SNAP, FreeSurfer, BIDS."""

from typing import Literal

from pathosynth.data.labels import Label, LabelScheme


def color_table(scheme: LabelScheme, kind: Literal["itksnap", "freesurfer", "bids"]) -> str:
    """Text of a legend file.

    Args:
        scheme: names, colours and numbers.
        kind: "itksnap" label description, "freesurfer" colour lookup table, "bids" ``dseg.tsv``
            (index, name, abbreviation, color, mapping to the BIDS standard numbers).
    """
    title = f"{scheme.name}: {scheme.description}"
    if kind == "itksnap":
        lines = ["# ITK-SnAP Label Description File", f"# {title}", "# IDX  R G B  A VIS MSH  LABEL"]
        lines.append('0 0 0 0 0 0 0 "Clear Label"')
        lines += [f'{label.value} {_rgb(label)} 1 1 1 "{label.name}"' for label in scheme.labels]
    elif kind == "freesurfer":
        lines = [f"# {title}", "#No. Label Name: R G B A", "0 Unknown 0 0 0 0"]
        lines += [f"{label.value} {label.name} {_rgb(label)} 0" for label in scheme.labels]
    else:
        lines = ["\t".join(("index", "name", "abbreviation", "color", "mapping")), "0\tbackground\tBG\t#000000\t0"]
        lines += ["\t".join(_bids_cells(label)) for label in scheme.labels]
    return "\n".join(lines) + "\n"


def _rgb(label: Label) -> str:
    return " ".join(str(int(label.color[start : start + 2], 16)) for start in (1, 3, 5))


def _bids_cells(label: Label) -> tuple[str, ...]:
    mapping = "n/a" if label.mapping is None else str(label.mapping)
    return (str(label.value), label.name, label.abbreviation, label.color, mapping)
