"""What the documents say about the code is true: commands, tree, links, the Python example."""

import ast
import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
import typer.main

from pathosynth.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_of_commands_is_current(generate: ModuleType) -> None:
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == generate.reference(), "run docs/generate.py"


def test_tree_names_every_source_file_and_nothing_else(generate: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert generate.with_tree(readme) == readme, "run docs/generate.py"
    block = readme.partition(generate.BEGIN)[2].partition(generate.END)[0]
    named = sorted(re.findall(r"^ +(\w+\.py)\b", block, flags=re.MULTILINE))
    present = [path.name for path in (ROOT / "src").rglob("*.py") if path.name != "__init__.py"]
    assert named == sorted(present)


def test_every_source_file_says_what_it_is(generate: ModuleType) -> None:
    assert [line for line in generate.tree().splitlines() if line.endswith(".py")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_commands_in_the_documents_exist(generate: ModuleType) -> None:
    known = set(re.findall(r"^## `([\w-]+)`", generate.reference(), flags=re.MULTILINE))
    used = {
        name for page in PAGES for name in re.findall(r"^pathosynth ([\w-]+)", page.read_text(), flags=re.MULTILINE)
    }
    assert used
    assert used <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_documents_are_understood(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"^(?:pathosynth|\.venv/bin/pathosynth) (.+)$", text, flags=re.MULTILINE):
        words = [word for word in shlex.split(line, comments=True) if not word.startswith("$")]
        if "[OPTIONS]" not in words:
            parse(words)


def parse(words: list[str]) -> None:
    """Raises where the command line would refuse the words."""
    at, name = typer.main.get_command(app), ""
    while hasattr(at, "commands"):
        name, *words = words
        at = at.commands[name]
    at.make_context(name, words)


def named_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_that_the_documents_name_exist(page: Path) -> None:
    """By file and name, or by name alone."""
    known = {path.name: named_in(path) for path in (ROOT / "tests").rglob("test_*.py")}
    named = re.findall(r"`(?:(\w+\.py)::)?(test_\w+)`", page.read_text(encoding="utf-8"))
    anywhere = set().union(*known.values())
    assert [one for one in named if one[1] not in (known.get(one[0], set()) if one[0] else anywhere)] == []


def test_every_promise_of_the_security_checklist_has_a_test() -> None:
    """What the server does is proven, what it falls short of or need not do is explained."""
    lines = (ROOT / "docs" / "security.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    rows = [row for row in rows if row[0] not in ("area", "---")]
    assert len(rows) > 50
    assert {row[1] for row in rows} == {"does", "falls short", "not applicable"}
    assert [row for row in rows if len(row) != 4 or not row[2]] == []
    assert [row for row in rows if row[1] == "does" and "::test_" not in row[3]] == []


def test_python_example_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code = (ROOT / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    exec(compile(code, "README.md", "exec"), {})
    width = float(re.findall(r"'atrial_width_mm': ([\d.]+)", capsys.readouterr().out)[0])
    assert width == pytest.approx(12, abs=0.3)
