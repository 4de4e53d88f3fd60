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
    output: Annotated[Path, typer.Option("-o", "--output", help="The PNG to write.")],
    scheme: o.Scheme = "",
    parents: o.Parents = None,
    contrast: Annotated[str, typer.Option("--contrast", help="Image to show, e.g. T2w; the first by default.")] = "",
    most: Annotated[int, typer.Option("--most", min=1, help="Cases drawn at most.")] = 8,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the PNG.")] = False,
) -> None:
    """Draw a montage: three planes through the ventricles of every case, with label outlines."""
    from pathosynth.runs.errors import ConfigError
    from pathosynth.stages import inputs, preview

    if output.suffix.lower() != ".png" or (output.exists() and not overwrite):
        raise ConfigError(
            f"--output {output}: expected the name of a new .png file. Choose another, or give --overwrite."
        )
    known = inputs.read_input(parents, scheme) if parents else []
    cases = inputs.read_input(source, scheme)
    preview.preview(cases, output, parents=known, contrast=contrast, most=most)
    show({"output": str(output), "cases": min(most, len(cases))}, common, str(output))


@command("list", "Look")
def listed(
    common: Talk,
    *,
    what: Annotated[str, typer.Argument(metavar="models|schemes|pathologies|generators|checks|formats")],
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
