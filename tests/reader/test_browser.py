"""The reader study in a real browser, by keyboard: nothing is lost, left is left, and everybody can use it."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from reader_chromium import (
    Server,
    Watched,
    begin,
    kill_browser,
    pathosynth,
    place,
    press,
    reader_page,
    serious_findings,
    serving,
    sign_in,
    skip_without_browser,
    slices,
    wait_for_case,
    wait_until_saved,
)
from reader_toy import SETTINGS, write_toy

from pathosynth.data.nifti import write_image
from pathosynth.data.volume import Volume

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(3600)]

ORIGINS = {"q": "real-sure", "w": "real-unsure", "e": "synthetic-unsure", "r": "synthetic-sure"}
TICKS = {"a": "motion", "s": "steps", "d": "noise", "f": "blur", "g": "anatomy"}

BEFORE_CRASH = {"quality": "2", "diagnostic": "1", "origin": "real-sure"}
"""Answers to the case in which everything dies."""

Typed = dict[tuple[str, int, str], str]
"""What was typed, by reader, position and question."""


@pytest.fixture
def playwright() -> Iterator[Any]:
    skip_without_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started


def test_whole_study_by_keyboard(playwright: Any, tmp_path: Path) -> None:
    """Two readers, 20 cases read after 4 to train with, hidden repeats, a killed server and a killed browser."""
    extra = "training = {cases = 4}\nrepeats = {share = 0.1, distance = 5}\n"
    study = write_toy(tmp_path / "toy", each=12, readers=2, size=24, extra=extra)
    watched = Watched()
    typed: Typed = {}
    with serving(study, tmp_path / "study") as server:
        with reader_page(playwright, tmp_path / "one", watched) as page:
            sign_in(page, server.invite("R1"))
            begin(page)
            for position in range(9):
                read_case(page, "R1", position, typed)
            _crash_both(page, server, tmp_path / "one")
        typed |= {("R1", 9, name): value for name, value in BEFORE_CRASH.items()}
        with reader_page(playwright, tmp_path / "two", watched) as page:
            sign_in(page, server.invite("R1"))
            wait_for_case(page, 10)
            assert dict(place(page)["answers"]) == BEFORE_CRASH
            press(page, "Control+Enter")
            for position in range(10, 26):
                read_case(page, "R1", position, typed)
            page.locator("#screen-heading", has_text="All cases are read").wait_for()
        with reader_page(playwright, tmp_path / "three", watched) as page:
            sign_in(page, server.invite("R2"))
            begin(page)
            for position in range(26):
                read_case(page, "R2", position, typed)
            page.locator("#screen-heading", has_text="All cases are read").wait_for()
    assert watched == Watched()
    found = exported(tmp_path / "study", tmp_path / "export")
    assert {key: row["value"] for key, row in found.items()} == typed
    repeated = {(reader, row["case"]) for (reader, _, _), row in found.items() if row["repeat"] == "1"}
    assert len(repeated) == 4  # 10 % of 20, for both readers
    assert all(0 < int(row["elapsed_ms"]) < 600_000 for row in found.values())


def read_case(page: Any, reader: str, position: int, typed: Typed) -> None:
    """Answer one case with keys that differ from case to case and from reader to reader, and note what they mean."""
    wait_for_case(page, position + 1)
    turn = position + 3 * int(reader[1:])
    quality, diagnostic = str(turn % 4), str((turn // 4) % 4)
    origin, tick, other = list(ORIGINS)[turn % 4], list(TICKS)[turn % 5], list(TICKS)[(turn + 2) % 5]
    if turn % 4 == 0:  # drawing takes software WebGL longer than all answers
        press(page, "ArrowUp", " ", "ArrowDown", "x")
    first = "0" if quality != "0" else "1"
    if turn % 3 == 0:  # a slip, taken back
        press(page, first, "Backspace")
        page.locator('[data-question="quality"].active').wait_for()
        assert page.locator('input[name="quality"]:checked').count() == 0
    press(page, quality, diagnostic, origin, tick, other, other)
    comment = f"case {position}: 0 x ?" if turn % 5 == 0 else ""
    if comment:
        press(page, "Enter")
        page.keyboard.type(comment)
        typed[reader, position, "comment"] = comment
    typed[reader, position, "quality"], typed[reader, position, "diagnostic"] = quality, diagnostic
    typed[reader, position, "origin"], typed[reader, position, "artefacts"] = ORIGINS[origin], TICKS[tick]
    press(page, "Control+Enter")
    if position < 4:
        page.locator("#feedback[open]").wait_for()
        assert page.inner_text("#feedback-text") in ("This image is real.", "This image is synthetic.")
        press(page, "Enter")
    if position == 3:
        page.locator("#screen-heading", has_text="The training is over").wait_for()
        press(page, "Enter")


def _crash_both(page: Any, server: Server, profile: Path) -> None:
    """In the tenth case: the server dies while answers are given, comes back, and then the browser dies."""
    wait_for_case(page, 10)
    press(page, "2")
    wait_until_saved(page)
    server.kill()
    press(page, "1", "q")
    page.locator("#saving", has_text="Not saved yet: 2 answers are kept").wait_for()
    assert page.locator('input[name="origin"][value="real-sure"]:checked').count() == 1
    server.start()
    wait_until_saved(page)
    kill_browser(profile)


def exported(study: Path, out: Path) -> dict[tuple[str, int, str], dict[str, str]]:
    """Rows of the exported tables, of training and reading, that hold an answer."""
    pathosynth("reader", "export", str(study), "-o", str(out))
    rows = [
        row for name in ("ratings.csv", "training.csv") for row in csv.DictReader(io.StringIO((out / name).read_text()))
    ]
    answered = [row for row in rows if row["value"]]
    return {(row["reader"], int(row["position"]), row["question"]): row for row in answered}


def test_comes_back_to_the_same_place(playwright: Any, tmp_path: Path) -> None:
    """Case, slices, plane, window, active question, answers and comment are the same after the browser died."""
    study = write_toy(tmp_path / "toy", each=6, readers=1, extra="repeats = {share = 0}\n")
    watched = Watched()
    with serving(study, tmp_path / "study") as server:
        with reader_page(playwright, tmp_path / "one", watched) as page:
            sign_in(page, server.invite("R1"))
            begin(page)
            press(page, "3", "2", "w", "Control+Enter")
            wait_for_case(page, 2)
            press(page, "1", "0", "r", "s", "Enter")
            page.keyboard.type("edge of the cortex")
            press(page, "Escape", *["ArrowUp"] * 3, " ", *["ArrowDown"] * 4, "Shift+ArrowRight", "+", "x")
            with page.expect_response(tells_question("artefacts")):  # the view after the last key has come
                press(page, "ArrowLeft")
            wait_until_saved(page)
            before = place(page)
            kill_browser(tmp_path / "one")
        with reader_page(playwright, tmp_path / "two", watched) as page:
            sign_in(page, server.invite("R1"))
            wait_for_case(page, 2)
            assert place(page) == before
    assert before["comment"] == "edge of the cortex"
    assert before["plane"] == "coronal"
    assert before["question"] == "artefacts"
    assert len(set(before["slices"])) > 1
    assert watched == Watched()


def tells_question(name: str) -> Callable[[Any], bool]:
    """Whether a response confirms a view in which this question is active."""

    def tells(response: Any) -> bool:
        told = response.url.endswith("/view") and response.status == 204
        return told and response.request.post_data_json["view"]["question"] == name

    return tells


CUBE = 40
"""Voxels along an edge of the phantom."""


def octant(codes: tuple[str, str, str]) -> Volume:
    """A grey ball whose left, anterior, superior octant is bright, stored along the axes that `codes` name."""
    ras = np.indices((CUBE,) * 3) - (CUBE - 1) / 2
    ball = np.where(np.sqrt((ras**2).sum(axis=0)) < 0.45 * CUBE, 400.0, 0.0)
    ball[(ball > 0) & (ras[0] < 1) & (ras[1] > -1) & (ras[2] > -1)] = 1000.0
    affine = np.eye(4)
    order, array = [], ball
    for axis, code in enumerate(codes):
        mine = next(n for n, pair in enumerate(("LR", "PA", "IS")) if code in pair)
        sign = 1.0 if code in "RAS" else -1.0
        order.append(mine)
        affine[:3, axis] = 0
        affine[mine, axis] = sign
        if sign < 0:
            array = np.flip(array, mine)
    return Volume(np.ascontiguousarray(np.transpose(array, order)).astype(np.float32), affine)


@pytest.mark.parametrize("convention", ["radiological", "neurological"])
def test_left_is_left(playwright: Any, tmp_path: Path, convention: str) -> None:
    """Pixels of the screen: the bright octant lies where the letters L, A and S stand, however the file was stored."""
    for arm, codes in (("real", ("R", "A", "S")), ("synthetic", ("P", "S", "L"))):
        (tmp_path / arm).mkdir()
        for number in range(2):
            write_image(tmp_path / arm / f"{number}_T2w.nii.gz", octant((codes[0], codes[1], codes[2])))
    study = tmp_path / "study.toml"
    extra = f'convention = "{convention}"\nrepeats = {{share = 0}}\n'
    study.write_text(extra + SETTINGS.format(readers=1))
    with serving(study, tmp_path / "study") as server, reader_page(playwright, tmp_path / "profile", Watched()) as page:
        sign_in(page, server.invite("R1"))
        begin(page)
        for number in range(1, 5):
            wait_for_case(page, number)
            for plane, bright in (("axial", "LA"), ("coronal", "LS"), ("sagittal", "AS")):
                offset = bright_centre(page, plane)
                for letter in bright:
                    towards = letter_at(page, plane, letter)
                    assert offset @ towards > 0.1, (convention, number, plane, letter, offset)
            assert page.inner_text("#convention").startswith(convention.capitalize())
            left_of_screen = letter_at(page, "axial", "R" if convention == "radiological" else "L")
            assert left_of_screen[0] < 0
            press(page, "1", "1", "q", "Control+Enter")


def bright_centre(page: Any, plane: str) -> np.ndarray:
    """Middle of the brightest pixels of a plane, from its centre to the right and down, in halves of its size."""
    shot = page.locator(f'.plane[data-plane="{plane}"]').screenshot()
    grey = np.asarray(Image.open(io.BytesIO(shot)).convert("L"))
    bright = np.argwhere(grey > 240)[:, ::-1]
    assert len(bright) > 500, f"{plane}: the bright octant is not on the screen"
    half = np.array(grey.shape[::-1]) / 2
    return (bright.mean(axis=0) - half) / half


def letter_at(page: Any, plane: str, letter: str) -> np.ndarray:
    """Direction, right and down, in which a letter stands at the edge of a plane."""
    frame = page.locator(f'.plane[data-plane="{plane}"]')
    box, around = frame.locator("b", has_text=letter).bounding_box(), frame.bounding_box()
    middle = [box[side] + box[size] / 2 - around[side] - around[size] / 2
              for side, size in (("x", "width"), ("y", "height"))]  # fmt: skip
    return np.array(middle) / np.abs(middle).max()


def test_cross_hair_links_the_planes(playwright: Any, tmp_path: Path) -> None:
    """A click into one plane shows the slices through that point in the two others."""
    study = write_toy(tmp_path / "toy", each=6, readers=1, size=40, extra="repeats = {share = 0}\n")
    with serving(study, tmp_path / "study") as server, reader_page(playwright, tmp_path / "profile", Watched()) as page:
        sign_in(page, server.invite("R1"))
        begin(page)
        before = slices(page)
        frame = page.locator('.plane[data-plane="axial"]').bounding_box()
        middle = (frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
        step = 0.125 * frame["width"]  # half of it is half the volume: the image fills the width of its tile
        page.mouse.click(middle[0] + step, middle[1] + step)
        shown = page.locator('.plane[data-plane="coronal"] .slice')
        shown.filter(has_not_text=re.compile(rf"^{before['coronal'][0]}/")).wait_for()
        after = slices(page)
        assert after["axial"] == before["axial"]
        assert after["coronal"][0] < before["coronal"][0]  # down on an axial slice is towards the back
        assert after["sagittal"][0] < before["sagittal"][0]  # right on the screen is the patient's left
        number, of = after["sagittal"]
        assert number == pytest.approx(before["sagittal"][0] - of * 0.125, abs=1.5)


def test_everybody_can_use_it(playwright: Any, tmp_path: Path) -> None:
    """axe-core finds nothing serious on any page or dialog, and the browser finds no violation of the policy."""
    extra = "training = {cases = 2}\nblocks = 2\nrepeats = {share = 0}\n"
    study = write_toy(tmp_path / "toy", each=4, readers=1, extra=extra)
    watched = Watched()
    found: dict[str, list[str]] = {}
    with serving(study, tmp_path / "study") as server:
        with reader_page(playwright, tmp_path / "reader", watched) as page:
            page.goto(server.url)
            found["sign-in"] = serious_findings(page)
            sign_in(page, server.invite("R1"))
            page.locator("#screen-button", has_text="Begin").wait_for()
            found["instructions"] = serious_findings(page)
            begin(page)
            press(page, "2", "Control+Enter")
            page.locator("#notice", has_text="Still to answer: Diagnostic value").wait_for()
            found["case"] = serious_findings(page)
            press(page, "?")
            found["help"] = serious_findings(page)
            press(page, "Escape")
            for number in range(1, 6):
                wait_for_case(page, number)
                press(page, "2", "2", "q", "Control+Enter")
                if number <= 2:
                    page.locator("#feedback[open]").wait_for()
                    found["feedback"] = serious_findings(page)
                    press(page, "Enter")
                if number == 2:
                    page.locator("#screen-heading", has_text="The training is over").wait_for()
                    press(page, "Enter")
            page.locator("#screen-heading", has_text="Pause").wait_for()
            assert "in 28 days" in page.inner_text("#screen-text") or "in 27 days" in page.inner_text("#screen-text")
            found["pause"] = serious_findings(page)
        with reader_page(playwright, tmp_path / "admin", watched) as page:
            sign_in(page, server.invite("Boss", "admin"))
            page.locator("#readers tr", has_text="5 of 8").wait_for()
            found["admin"] = serious_findings(page)
    assert found == {screen: [] for screen in found}
    assert watched == Watched()
