"""The sources of the reader study's pages: nothing inline, nothing from elsewhere, no element that is missing."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

VIEWER = Path(__file__).parents[2] / "viewer"
PAGES = sorted((VIEWER / "pages").glob("*.html"))


class Shell(HTMLParser):
    """Elements of a page and what stands inside scripts and styles."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.inline: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] in ("script", "style") and data.strip() and self.cdata_elem:
            self.inline.append(data)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_hold_no_script_no_style_and_no_foreign_address(page: Path) -> None:
    """What the content security policy forbids is not there in the first place."""
    shell = Shell(page)
    attributes = [item for _, attrs in shell.elements for item in attrs.items()]
    assert shell.inline == []
    assert not any(tag == "style" for tag, _ in shell.elements)
    assert not any(name == "style" or name.startswith("on") for name, _ in attributes)
    assert all(
        re.match(r"/static/[a-z]+\.(js|css)$|data:,$", value) for name, value in attributes if name in ("src", "href")
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_scripts_find_their_elements(page: Path) -> None:
    """Every id that a page's scripts ask for is an id of that page, and no id is there twice."""
    ids = [attrs["id"] for _, attrs in Shell(page).elements if "id" in attrs]
    script = next(attrs["src"] for tag, attrs in Shell(page).elements if tag == "script")
    asked = {name for source in reachable(VIEWER / "src" / Path(script).name) for name in asked_ids(source)}
    assert asked, "the pattern finds no id"
    assert asked <= set(ids)
    assert len(ids) == len(set(ids))


def reachable(entry: Path) -> set[Path]:
    """A script and all of ours that it imports."""
    found, left = set(), [entry]
    while left:
        source = left.pop()
        if source not in found:
            found.add(source)
            left += [
                source.parent / name
                for name in re.findall(r'^(?:import|\} from) .*?"\./([^"]+)"', source.read_text(), re.M)
            ]
    return found


def asked_ids(source: Path) -> list[str]:
    return re.findall(r'byId\("([^"]+)"', source.read_text())


def test_markup_is_never_made_from_text() -> None:
    """A study's words, and a reader's, are text: no script turns a string into elements or code."""
    banned = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser")
    sources = sorted((VIEWER / "src").glob("*.js"))
    assert len(sources) > 10
    assert [source.name for source in sources if banned.search(source.read_text())] == []


def test_lock_file_names_no_host() -> None:
    """Packages are fetched from whatever registry npm is set to, and are the ones that were tested, to the byte."""
    packages = json.loads((VIEWER / "package-lock.json").read_text())["packages"]
    fetched = {path: package for path, package in packages.items() if path}
    assert "node_modules/@niivue/niivue" in fetched
    assert all("resolved" not in package and package["integrity"].startswith("sha512-") for package in fetched.values())
    assert "://" not in re.sub(r'"(url|funding)": *"[^"]*"', "", (VIEWER / "package-lock.json").read_text())


def test_sources_are_short() -> None:
    """Nobody has to scroll far."""
    sources = [*(VIEWER / "src").glob("*"), *(VIEWER / "style").glob("*"), *(VIEWER / "tests").glob("*")]
    assert {source.name: lines for source in sources if (lines := len(source.read_text().splitlines())) > 300} == {}
