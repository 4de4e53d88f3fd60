"""Commands that only look: what there is, what something is."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pathosynth.cli import options as o
from pathosynth.cli.app import Talk, command, show


@command("preview", "Look")
def preview(
    common: Talk,
    *,
    source: o.Input,
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write: .png, with --mesh .html.")],
    scheme: o.Scheme = "",
    parents: o.Parents = None,
    contrast: Annotated[str, typer.Option("--contrast", help="Image to show, e.g. T2w; the first by default.")] = "",
    mesh: Annotated[bool, typer.Option("--mesh", help="An HTML page of rotating surfaces and displacements.")] = False,
    most: Annotated[int, typer.Option("--most", min=1, help="Cases drawn at most.")] = 8,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Draw a montage of every case, three planes with label outlines; with --mesh, surfaces that turn in a browser."""
    from pathosynth.stages import inputs

    _check_new(output, ".html" if mesh else ".png", overwrite)
    known = inputs.read_input(parents, scheme) if parents else []
    cases = inputs.read_input(source, scheme)
    drawn = {"output": str(output), "cases": min(most, len(cases))}
    if not mesh:
        from pathosynth.stages import preview

        preview.preview(cases, output, parents=known, contrast=contrast, most=most)
        show(drawn, common, str(output))
        return
    from pathosynth.stages.mesh_view import mesh_view

    megabytes, notes = mesh_view(cases, output, parents=known, most=most)
    text = "\n".join([f"{output} ({megabytes:.1f} MB)", *notes])
    show(drawn | {"megabytes": round(megabytes, 3), "notes": notes}, common, text)


def _check_new(output: Path, suffix: str, overwrite: bool) -> None:
    from pathosynth.runs.errors import ConfigError

    if output.suffix.lower() != suffix or (output.exists() and not overwrite):
        raise ConfigError(
            f"--output {output}: expected the name of a new {suffix} file. Choose another, or give --overwrite."
        )


@command("list", "Look")
def listed(
    common: Talk,
    *,
    what: Annotated[
        str,
        typer.Argument(metavar="models|schemes|pathologies|recipes|generators|checks|formats|metrics|segmenters"),
    ],
) -> None:
    """Show what there is of one kind, with its settings (in --json and with -v)."""
    from pathosynth.stages import catalogue

    rows = catalogue.listed(what)
    show(rows, common, "\n".join(line for row in rows for line in _row_lines(row, common.verbose)))


@command("info", "Look")
def info(
    common: Talk,
    *,
    path: Annotated[Path, typer.Argument(metavar="FILE_OR_FOLDER")],
    scheme: o.Scheme = "",
) -> None:
    """Describe a label map (volumes by name, widths), an image, a case table, a model or a run folder."""
    from pathosynth.stages import catalogue

    facts = catalogue.described(path, scheme)
    show(facts, common, "\n".join(_fact_lines(facts)))


def _row_lines(row: dict[str, Any], verbose: bool) -> list[str]:
    lines = [f"{row['name']:<24}{row['about']}"]
    if verbose:
        lines += [f"    {name}: {' '.join(meaning.split())}" for name, meaning in row.get("settings", {}).items()]
    return lines


def _fact_lines(facts: dict[str, Any], indent: str = "") -> list[str]:
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict) and set(value) == {"voxels", "mm3", "ml"}:
            lines.append(
                f"{indent}{name:<28}{value['ml']:>10.3f} mL{value['mm3']:>12.1f} mm3{value['voxels']:>10} voxels"
            )
        elif isinstance(value, dict):
            lines += [f"{indent}{name}:", *_fact_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{name}: {value}")
    return lines
