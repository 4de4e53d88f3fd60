"""A reader's waiting time in a real browser: the next case of 192^3, and coming back after a crash, fifty times.

``python benchmarks/bench_reader_browser.py [--cases 20] [--size 192] [--look 5] [--resumes 50]`` prints JSON. Chromium
draws without a GPU. The next case is timed from the key that closes one case until the next is drawn, after the reader
has looked for `--look` seconds, in which the page fetches it. A crash kills the browser, the server, or both, by turns,
at a case, slices, plane, window, question and answers that differ each time; all of these have to be there again.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reader"))

from playwright.sync_api import sync_playwright
from reader_chromium import (
    Watched,
    begin,
    kill_browser,
    place,
    press,
    reader_page,
    serving,
    sign_in,
    wait_for_case,
    wait_until_saved,
)
from reader_toy import write_toy

NO_REPEATS = "repeats = {share = 0}\n"
QUIET_S = 2.0
"""Without a request after which the page has told all: it tells the view a quarter of a second after it was drawn."""


class Told:
    """When a page last had a view confirmed."""

    def __init__(self, page: Any) -> None:
        self.last = 0.0
        page.on("response", self._came)

    def _came(self, response: Any) -> None:
        if response.url.endswith("/view") and response.status == 204:
            self.last = time.monotonic()

    def wait(self, page: Any, since: float) -> None:
        """Until a view that was sent since then is confirmed, and no other follows."""
        while self.last < since or time.monotonic() - self.last < QUIET_S:
            page.wait_for_timeout(100)


def next_cases(playwright: Any, folder: Path, cases: int, size: int, look_s: float) -> list[float]:
    """Seconds from the last key of a case until the next one is drawn."""
    study = write_toy(folder / "toy", each=(cases + 2) // 2, readers=1, size=size, extra=NO_REPEATS)
    found = []
    with serving(study, folder / "study") as server, reader_page(playwright, folder / "profile", Watched()) as page:
        sign_in(page, server.invite("R1"))
        begin(page)
        for number in range(1, cases + 1):
            time.sleep(look_s)
            press(page, "2", "2", "q")
            wait_until_saved(page)
            began = time.perf_counter()
            press(page, "Control+Enter")
            wait_for_case(page, number + 1)
            page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            found.append(time.perf_counter() - began)
    return found


def resumes(playwright: Any, folder: Path, times: int) -> dict[str, Any]:
    """How often the reader came back to the same place, and what was different otherwise."""
    study = write_toy(folder / "toy", each=times // 4 + 2, readers=1, extra=NO_REPEATS)
    draw, same, different, number, before = random.Random(0), 0, [], 1, {}
    with serving(study, folder / "study") as server:
        for turn in range(times + 1):
            profile = folder / f"profile{turn}"
            with reader_page(playwright, profile, Watched()) as page:
                told = Told(page)
                sign_in(page, server.invite("R1"))
                if turn == 0:
                    begin(page)
                else:
                    wait_for_case(page, number)
                    wait_until_saved(page)
                    now = place(page)
                    same += now == before
                    if now != before:
                        different.append({"turn": turn, "before": before, "after": now})
                if turn == times:
                    break
                if turn % 2:
                    press(page, "1", "1", "w", "Control+Enter")
                    number += 1
                    wait_for_case(page, number)
                press(page, *draw.sample(["ArrowUp", "ArrowDown", " ", "+", "Shift+ArrowRight"], 4))
                began = time.monotonic()
                press(page, str(draw.randrange(4)), *["ArrowUp"] * draw.randrange(1, 4))
                wait_until_saved(page)
                told.wait(page, began)
                before = place(page)
                if turn % 3:
                    server.kill()
                if turn % 3 != 1:
                    kill_browser(profile)
            if turn % 3:
                server.start()
    return {"crashes": times, "same place": same, "different": different}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--size", type=int, default=192, help="voxels along an edge")
    parser.add_argument("--look", type=float, default=5.0, help="seconds a reader looks at a case")
    parser.add_argument("--resumes", type=int, default=50)
    given = parser.parse_args()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        if given.cases:
            waits = next_cases(playwright, Path(folder, "next"), given.cases, given.size, given.look)
            told = {"size": given.size, "cases": len(waits), "median s": round(statistics.median(waits), 2),
                    "slowest s": round(max(waits), 2), "waits s": [round(wait, 2) for wait in waits]}  # fmt: skip
            print(json.dumps(told | {"load_average": os.getloadavg()[0]}), flush=True)
        if given.resumes:
            print(json.dumps(resumes(playwright, Path(folder, "resumes"), given.resumes)), flush=True)


if __name__ == "__main__":
    main()
