"""One HTML file that holds everything: data, program, plotly.js. It asks nothing of a network and may not."""

import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from plotly.offline import get_plotlyjs

TITLE = "pathosynth: parent and morphed surfaces"


def page(scenes: Sequence[dict[str, Any]]) -> str:
    """The page of some scenes; the same scenes give the same text.

    Its content security policy forbids every request, so plotly.js cannot make one either.
    """
    here = resources.files("pathosynth.stages.mesh_view")
    text = (here / "page.html").read_text(encoding="utf-8")
    parts = {
        "title": html.escape(f"{TITLE} ({', '.join(shown['case'] for shown in scenes[:3])})"),
        "style": (here / "page.css").read_text(encoding="utf-8"),
        "plotly": get_plotlyjs(),
        "scenes": json_for_html(scenes),
        "program": (here / "page.js").read_text(encoding="utf-8"),
    }
    for name, part in parts.items():
        before, _, after = text.partition(f"<!--{name}-->")
        text = before + part + after
    return text


def json_for_html(content: Any) -> str:
    """JSON that no text inside can break out of a script element.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
