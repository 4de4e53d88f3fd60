"""Write what follows from the code: docs/reference.md and the tree in README.md. Run ``python docs/generate.py``."""

import ast
from pathlib import Path
from typing import Any

import typer.main

from pathosynth.cli import app

ROOT = Path(__file__).parents[1]
REFERENCE, README = ROOT / "docs" / "reference.md", ROOT / "README.md"
BEGIN, END = "<!-- tree: written by docs/generate.py -->\n```\n", "```\n<!-- end of tree -->"
NAME_WIDTH = 44
NOT_SOURCE = ("__pycache__", "static")  # static: the reader study's pages, built by make viewer


def tree() -> str:
    """The source tree, one line per file, each with the first sentence of its docstring."""
    return "src/pathosynth/\n" + "".join(_branch(ROOT / "src" / "pathosynth", "  "))


def with_tree(readme: str) -> str:
    """README text with the present tree between its markers."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{tree()}{END}{after}"


def reference() -> str:
    """The page of commands: every command with its arguments and options."""
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    parts = ["# Commands\n\nWritten by `docs/generate.py`; what `--help` shows, on one page.\n"]
    for name, command in commands.items():
        if not hasattr(command, "commands"):
            parts.append(_command(name, command))
            continue
        parts.append(f"## `{name}`\n\n{' '.join(command.help.split())}\n")
        shown = {own: one for own, one in command.commands.items() if not one.hidden}
        parts += [_command(f"{name} {own}", one, "###") for own, one in shown.items()]
    return "\n".join(parts)


def _branch(folder: Path, indent: str) -> list[str]:
    lines = []
    for path in sorted(folder.iterdir(), key=lambda entry: (entry.is_dir(), entry.name)):
        if path.is_dir() and path.name not in NOT_SOURCE and any(path.iterdir()):
            lines += [_line(f"{indent}{path.name}/", _sentence(path / "__init__.py")), *_branch(path, indent + "  ")]
        elif path.suffix == ".py" and path.name != "__init__.py":
            lines.append(_line(f"{indent}{path.name}", _sentence(path)))
        elif path.suffix in (".toml", ".safetensors"):
            lines.append(_line(f"{indent}{path.name}", ""))
    return lines


def _line(name: str, meaning: str) -> str:
    return f"{name:<{NAME_WIDTH}}{meaning}".rstrip() + "\n"


def _sentence(path: Path) -> str:
    """First sentence of a module's docstring; empty where there is no module."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path.is_file() else ""
    return " ".join((text or "").split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def _command(name: str, command: Any, level: str = "##") -> str:
    arguments = [item for item in command.params if item.param_type_name == "argument"]
    options = [item for item in command.params if item.param_type_name == "option"]
    usage = " ".join(["pathosynth", name, *(item.metavar or item.name.upper() for item in arguments)])
    lines = [f"{level} `{name}`\n", f"{' '.join(command.help.split())}\n", f"```\n{usage} [OPTIONS]\n```\n"]
    lines += ["| option | meaning | default |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(_option(item) for item in options), ""])


def _option(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in sorted(option.opts, key=len))
    default = (
        "required" if option.required else "" if option.default in (None, "", False, [], ()) else f"`{option.default}`"
    )
    return f"| {names} | {' '.join((option.help or '').split())} | {default} |"


if __name__ == "__main__":
    REFERENCE.write_text(reference(), encoding="utf-8")
    README.write_text(with_tree(README.read_text(encoding="utf-8")), encoding="utf-8")
