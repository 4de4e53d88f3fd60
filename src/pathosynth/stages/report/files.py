"""What every figure leaves behind: the picture, the numbers behind it, and a summary."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pathosynth.drawing.style import png
from pathosynth.runs.files import json_text, write_bytes, write_table, write_text

Row = Mapping[str, Any]


def publish(out: Path, name: str, figure: Figure, rows: Sequence[Row], summary: Mapping[str, Any]) -> None:
    """Write ``NAME.png``, ``NAME.csv`` and ``NAME.json``, each whole or not at all.

    Args:
        out: folder of the run.
        name: of the figure.
        figure: what is drawn.
        rows: what is drawn as numbers, all with the same keys; None becomes an empty cell.
        summary: what the figure says in few numbers, JSON-able; NaN is refused, None stands for "not defined".
    """
    write_table(out / f"{name}.csv", rows)
    write_text(out / f"{name}.json", json_text(summary))
    write_bytes(out / f"{name}.png", png(figure))
