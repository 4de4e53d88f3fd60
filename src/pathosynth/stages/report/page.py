"""Pages: one HTML file with everything in it, no network, every word from outside escaped."""

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import jinja2

from pathosynth import __version__

TEMPLATE = "sections.html.jinja"
PIXELS = 0.52
"""CSS pixels for each pixel of a picture, so that its type is nearly as large as the page's."""


@dataclass(frozen=True)
class Picture:
    """One picture of a page.

    Attributes:
        name: file name beside the page, without ending.
        caption: what stands under it.
        png: the picture.
    """

    name: str
    caption: str
    png: bytes

    @property
    def source(self) -> str:
        """The picture as an address that needs no network."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")

    @property
    def width(self) -> int:
        """In CSS pixels."""
        (pixels,) = struct.unpack(">I", self.png[16:20])
        return round(float(pixels) * PIXELS)


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
    template = template_environment().get_template(TEMPLATE)
    return template.render(title=title, lead=lead, notes=notes, sections=sections, version=__version__)


def template_environment() -> jinja2.Environment:
    """Templates of this folder; what is put into them is escaped."""
    loader = jinja2.FunctionLoader(lambda name: (resources.files(__package__) / name).read_text(encoding="utf-8"))
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
