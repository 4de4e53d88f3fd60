"""A page that needs no network: one HTML file with style and pictures in it, every word from outside escaped."""

import base64
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2

STYLE = "page.css"

PIXELS = 0.52
"""CSS pixels for each pixel of a picture, so that its type is nearly as large as the page's."""


@dataclass(frozen=True)
class Picture:
    """One picture of the page.

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


def render(package: str, template: str, filters: Mapping[str, Callable[..., str]], **values: Any) -> str:
    """The page as text.

    Templates have `css`, the style of all pages (to be marked safe), and the filters `number` and `p`; what is not
    defined is an error.

    Args:
        package: where the template lies.
        template: its file name.
        filters: more filters by name.
        **values: what the template shows.
    """
    loader = jinja2.FunctionLoader(lambda name: (resources.files(package) / name).read_text(encoding="utf-8"))
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "p": p_value, **filters}
    css = (resources.files(__package__) / STYLE).read_text(encoding="utf-8")
    return environment.get_template(template).render(css=css, **values)


def number(value: Any, digits: int = 2) -> str:
    """A number for people: a dash where there is none, the sign for infinity, a long minus."""
    if value is None or value != value:
        return "–"
    if value in (float("inf"), float("-inf")):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits}f}".replace("-", "−")


def p_value(value: float | None) -> str:
    """A p-value as it is printed."""
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"
