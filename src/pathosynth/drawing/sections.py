"""Pages of sections, each with text, tables and pictures, for whatever needs no page of its own design."""

from collections.abc import Sequence
from dataclasses import dataclass

from pathosynth import __version__
from pathosynth.drawing.page import Picture, render

TEMPLATE = "sections.html.jinja"


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column is a name.

    Attributes:
        columns: headings.
        rows: as many cells as columns; one that begins with ``!`` is shown as bad.
        note: what stands under it.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page, in this order: heading, text, tables, pictures."""

    title: str
    text: str = ""
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


def sections_page(title: str, lead: str, notes: Sequence[str], sections: Sequence[Section]) -> str:
    """A page of sections as text.

    Args:
        title: heading.
        lead: one paragraph under it.
        notes: what should be known before reading on.
        sections: in the order of the page.
    """
    return render(
        __package__, TEMPLATE, {}, title=title, lead=lead, notes=notes, sections=sections, version=__version__
    )
