"""The tutorial runs as it stands: its blocks are taken from the document and executed in turn, on phantoms.

Left out are blocks under ``<!-- illustrative: why -->``; a block under ``<!-- file: NAME -->`` is written to that file.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("snakemake", reason="needs the extra 'workflow'")
pytest.importorskip("nnunetv2", reason="needs the extra 'segment'")

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
FENCE = re.compile(r"^(?:<!-- (illustrative|file): (.+?) -->\n)?```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
OUTPUTS = "healthy|sick|images|synthetic|real|augmented|scores|report|study|nnUNet_raw"


@dataclass(frozen=True)
class Block:
    """A block of code of the page: how it is marked, with which words, its language and its text."""

    mark: str
    words: str
    language: str
    text: str


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def blocks(page: str) -> list[Block]:
    found = [Block(*match.groups(default="")) for match in FENCE.finditer(page)]
    assert page.count("\n```") == 2 * len(found), "a block that the pattern does not see"
    return found


def executed(blocks: list[Block]) -> list[Block]:
    return [block for block in blocks if block.language == "bash" and not block.mark]


def test_nearly_all_is_executed_and_every_stage_is_among_it(blocks: list[Block]) -> None:
    assert sum(block.mark == "illustrative" for block in blocks) <= 3
    assert {block.language for block in blocks if block.mark == ""} == {"", "bash"}
    script = "".join(block.text for block in executed(blocks))
    used = set(re.findall(r"^pathosynth ([\w-]+(?: run)?)", script, flags=re.MULTILINE))
    path = ("prepare", "morph", "generate-images", "check", "segment", "evaluate", "report", "study run")
    assert used >= set(path)


@pytest.mark.slow
@pytest.mark.early
@pytest.mark.timeout(2400)  # for a machine with other work; on a quiet one it is a matter of minutes
def test_the_page_runs_and_makes_what_it_says(page: str, blocks: list[Block], tmp_path: Path) -> None:
    for block in blocks:
        if block.mark == "file":
            (tmp_path / block.words).write_text(block.text, encoding="utf-8")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for block in executed(blocks):
        call = ["bash", "-euo", "pipefail", "-c", block.text]
        done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block.text}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    promised = set(re.findall(rf"`((?:{OUTPUTS})/[\w./-]+|\w+\.(?:html|png))`", page)) - {"distributions.png"}
    assert len(promised) >= 8
    assert [name for name in sorted(promised) if not (tmp_path / name).exists()] == []
