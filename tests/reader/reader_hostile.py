"""What somebody might type, or send as an address, to make trouble; put together here, not taken from any list."""

import asyncio
import itertools
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

TAGS = ("script", "img", "svg", "iframe", "style", "math", "details", "a", "object", "base")
MARKUP = ("<{0}>x()</{0}>", "<{0} src=x onerror=x()>", "<{0}/onload=x()//", "</td></table><{0}>", "<!--<{0}>-->",
          "<{0}\nhref='javascript:x()'>", "&lt;{0}&gt;", "%3C{0}%3E", "\\u003c{0}\\u003e", "＜{0}＞")  # fmt: skip
QUOTES = ('"', "'", "`", "&quot;", "\\'", '""', "”")
BREAKS = (" onfocus=x() autofocus ", "><b>bold</b>", " style=position:fixed ", " OR 1=1 --", "; DROP TABLE log; --",
          "]}, {", "+alert(1)+", ") UNION SELECT value FROM log (")  # fmt: skip
TEMPLATES = ("{{{{{0}}}}}", "{{%{0}%}}", "${{{0}}}", "<%={0}%>", "#{{{0}}}", "[[{0}]]", "@{{{0}}}", "*{{{0}}}")
INNER = ("7*7", "config", "''.__class__", "x|safe", "range(9)", "self")
FORMATS = ("%s", "%n", "%(value)s", "%99999d", "{0}", "{0.__class__}", "{value!r}", "$1", "\\1", "\\x41", "\\", "\\\\",
           "%", "%%", "%00", "\\u0000", "\\n", "$(x)", "`x`", "; x", "| x", "&& x", "> x", "$HOME", "~")  # fmt: skip
FORMULA_STARTS = ("=", "+", "-", "@", "\t=", "\n=", " =", "\u00a0@", "＝", "＋", "－", "＠", "\t")
FORMULAS = ("1+1", "cmd|'/c x'!A1", 'HYPERLINK("http://x.example?"&A1,"x")', "SUM(A1:A9)", 'WEBSERVICE("x")')
EATEN = ("007", "1e5", "1E400", "1-2", "3/4", "12:30", "0x1F", "1,5", "1;5", "١٢", "TRUE", "#REF!", "NaN", "inf",
         "null", "None", "undefined", "n/a", "9007199254740993", "0.1000000000000000055", "1_000", "März 1", "'1", "''",
         "NA", ".", "*")  # fmt: skip
INVISIBLE = (*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x206A), 0x7F, 0x80, 0x85, 0x9B, 0xA0,
             0xAD, 0x34F, 0x61C, 0x115F, 0x180E, 0x3000, 0x3164, 0xFEFF, 0xFFF9, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF,
             0xE0001, 0xE0041, 0x10FFFF)  # fmt: skip
"""Zero width, direction, separators, second control set, tags and what is no character."""
LOOKALIKES = {"a": "а", "c": "с", "e": "е", "i": "і", "n": "ո", "o": "о", "r": "г", "s": "ѕ", "t": "т", "y": "у"}
ODD = ("x\nSet-Cookie: a=b", "x\n\n<html>", "2026-01-01 ERROR all lost\n", "é" * 4000, "𝕏" * 4000, "<" * 4000,
       "word " * 800, "a" + "\u0301" * 300, "👩‍⚕️" * 50, "🇩🇪🏴󠁧󠁢󠁳󠁣󠁴󠁿", "日本語 עברית العربية", " ", "\n", "\t", " x ", "x\n",
       "javascript:x()", "data:text/html,<b>", "vbscript:x", "//x.example", "file:///etc/hostname", "C:\\x\\..\\y",
       "con", "nul", "x.toml", "]]>", "<!DOCTYPE x>", "<?xml?>", "&x;", "&#x3c;", '{"value": "3"}', "[1]")  # fmt: skip

CONTROLS = tuple(chr(code) for code in range(32) if chr(code) not in "\n\t")


def hostile_texts() -> list[str]:
    """Texts a comment may hold, over 500, each once."""
    characters = [chr(code) for code in INVISIBLE]
    return list(dict.fromkeys([
        *(shape.format(tag) for shape, tag in itertools.product(MARKUP, TAGS)),
        *(quote + tail for quote, tail in itertools.product(QUOTES, BREAKS)),
        *(shape.format(inner) for shape, inner in itertools.product(TEMPLATES, INNER)),
        *(start + body for start, body in itertools.product(FORMULA_STARTS, FORMULAS)),
        *(made for c in characters for made in (f"ab{c}cd", f"{c}=ab", f"ab{c}", c)),
        *(word.translate(str.maketrans(LOOKALIKES)) for word in ("real-sure", "synthetic", "admin", "script")),
        *(f"{'../' * depth}{name}" for depth in (1, 4, 9) for name in ("truth.json", "etc/passwd")),
        *FORMATS, *EATEN, *ODD,
    ]))  # fmt: skip


def refused_texts() -> list[str]:
    """Texts no comment may hold: control characters, half a surrogate pair, more than it takes."""
    made = [text for c in (*CONTROLS, "\ud800", "\udfff") for text in (c, f"ab{c}cd", f"=1{c}")]
    return [*made, "x" * 4001, "\n" * 5000]


def paths_out(target: str) -> list[str]:
    """Over 500 ways to say `target` that leave a folder, as requests have them: dots, slashes, NULs in every coding."""
    dots = ("..", "%2e%2e", "%2E.", "..%00", "....", "..;", "%252e%252e", "%c0%ae%c0%ae", "．．", ".%2e")
    slashes = ("/", "%2f", "\\", "%5c", "//", "/./", "%252f")
    depths = (1, 2, 3, 5, 8)
    made = [(d + s) * n + target for d, s, n in itertools.product(dots, slashes, depths)]
    mixed = [f"x{s}{path}" for s, path in zip(itertools.cycle(slashes), made[::2], strict=False)]
    rooted = [f"{start}{target}" for start in ("file:///", "/", "//", "%2f", "%00/", "C:\\", "~/")]
    return [quote(path, safe="%/\\:;~.") for path in (*made, *mixed, *rooted)]


class Answered(NamedTuple):
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(app: Any, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Answered:
    """Send a request whose path reaches the server as it is: clients take ``..`` and ``//`` out before they send."""
    named = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(body)), **headers}
    path, _, query = target.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    got: list[Any] = []
    sent = asyncio.Event()

    async def receive() -> Any:
        if sent.is_set():  # asked again whether the client has hung up: it never does
            await asyncio.get_running_loop().create_future()
        sent.set()
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        got.append(message)

    await app(scope, receive, send)
    told = {name.decode(): value.decode() for name, value in got[0]["headers"]}
    return Answered(got[0]["status"], told, b"".join(message.get("body", b"") for message in got))


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Every file that Python opens meanwhile, its own modules left out."""
    found: list[str] = []
    going = True

    def heard(event: str, values: tuple[Any, ...]) -> None:  # cannot be taken away again, so it is told to stop
        if going and event == "open" and not str(values[0]).endswith((".py", ".pyc")):
            found.append(str(values[0]))

    sys.addaudithook(heard)
    try:
        yield found
    finally:
        going = False
