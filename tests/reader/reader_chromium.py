"""A reader at a real browser: the server as its own process, Chromium without a screen, and nothing but keys."""

import importlib.util
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from pathosynth.reader.app import STATIC

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = Path(__file__).parents[2] / "viewer/node_modules/axe-core/axe.min.js"

FLAGS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]  # fmt: skip
"""Software WebGL, and no connection that the page did not ask for."""

SMALL = {"width": 840, "height": 560}
"""A window that software WebGL draws quickly."""


def skip_without_browser() -> None:
    """Skip, saying what is missing and how to get it."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("no playwright: pip install -e '.[dev]'")
    if not (STATIC / "read.html").is_file():
        pytest.skip(f"{STATIC} is not built: make viewer")


@dataclass
class Server:
    """`pathosynth reader serve` as a process, which can be killed and started again.

    Attributes:
        folder: of the study.
        port: the same over restarts.
    """

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        """Where browsers reach it."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it answers."""
        command = ["reader", "serve", str(self.folder), "--port", str(self.port)]
        self.process = subprocess.Popen([sys.executable, "-m", "pathosynth", *command], stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("the server does not answer after 60 s")

    def kill(self) -> None:
        """SIGKILL: no time to save anything."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def invite(self, name: str, role: str = "reader") -> str:
        """A link that signs in."""
        told = pathosynth("reader", "invite", str(self.folder), "--name", name, "--role", role, "--url", self.url,
                          "--json")  # fmt: skip
        link: str = json.loads(told)["link"]
        return link


def pathosynth(*arguments: str) -> str:
    """Output of a command, which has to succeed."""
    done = subprocess.run([sys.executable, "-m", "pathosynth", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def serving(study: Path, folder: Path) -> Iterator[Server]:
    """A study file, made and served on a free port."""
    pathosynth("reader", "init", str(study), "-o", str(folder))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(folder, port)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@dataclass
class Watched:
    """What went wrong in a page, or went out of this machine.

    Attributes:
        foreign: addresses outside this machine.
        errors: of scripts, and violations of the content security policy.
    """

    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def request(self, request: Any) -> None:
        """Called with every request."""
        if not re.match(r"(http://127\.0\.0\.1:\d+/|data:|blob:)", request.url):
            self.foreign.append(request.url)

    def console(self, message: Any) -> None:
        """Called with every line of the console; a server that is away is not the page's fault."""
        if message.type == "error" and not re.search("ERR_(CONNECTION|EMPTY_RESPONSE)", message.text):
            self.errors.append(message.text)


@contextmanager
def reader_page(playwright: Any, profile: Path, watched: Watched, size: dict[str, int] = SMALL) -> Iterator[Any]:
    """A page of a browser with its own profile, watched."""
    context = playwright.chromium.launch_persistent_context(
        str(profile), executable_path=CHROMIUM, args=FLAGS, headless=True, viewport=size
    )
    context.add_init_script(
        "addEventListener('securitypolicyviolation', e => console.error('CSP', e.violatedDirective, e.blockedURI))"
    )
    context.set_default_timeout(120_000)  # a machine may be busy with other things
    page = context.pages[0]
    page.on("request", watched.request)
    page.on("console", watched.console)
    page.on("pageerror", lambda error: watched.errors.append(str(error)))
    try:
        yield page
    finally:
        if browser_processes(profile):
            context.close()


def browser_processes(profile: Path) -> list[psutil.Process]:
    """The processes of the browser with this profile."""
    mine = [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"]]
    return [process for process in mine if f"--user-data-dir={profile}" in process.info["cmdline"]]


def kill_browser(profile: Path) -> None:
    """SIGKILL to a browser's processes; returns once they are gone."""
    processes = browser_processes(profile)
    for process in processes:
        process.kill()
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert not alive


def sign_in(page: Any, link: str) -> None:
    """Open an invitation's link and wait for the page behind it."""
    page.goto("about:blank")  # a changed fragment alone would not load the page again
    page.goto(link)
    page.wait_for_url(re.compile("/(read|admin)$"))


def begin(page: Any) -> None:
    """Leave the instructions by key and wait for the first case."""
    page.locator("#screen-button", has_text="Begin").wait_for()
    page.keyboard.press("Enter")
    wait_for_case(page, 1)


def wait_for_case(page: Any, number: int) -> None:
    """Until the case with this number, from 1, is on the screen."""
    page.locator("#place", has_text=re.compile(rf"^Case {number} of ")).wait_for()
    page.locator("#case").wait_for()
    page.locator("#loading").wait_for(state="hidden")


def wait_until_saved(page: Any) -> None:
    """Until the server has every answer."""
    page.locator("#saving", has_text="All answers saved").wait_for()


def press(page: Any, *keys: str) -> None:
    """Press keys, one after the other."""
    for key in keys:
        page.keyboard.press(key)


def place(page: Any) -> dict[str, Any]:
    """Where the reader is: case, slices, framed plane, window, and the answers that are chosen."""
    checked = page.locator("#questions input:checked").all()
    return {
        "case": page.inner_text("#place"),
        "slices": [node.inner_text() for node in page.locator(".plane .slice").all()],
        "plane": page.get_attribute(".plane.framed", "data-plane"),
        "window": page.inner_text("#window-text"),
        "question": page.get_attribute(".question.active", "data-question"),
        "answers": [(box.get_attribute("name"), box.get_attribute("value")) for box in checked],
        "comment": page.input_value("textarea"),
    }


def slices(page: Any) -> dict[str, tuple[int, int]]:
    """Slice and number of slices of every plane."""
    texts = {
        plane: page.inner_text(f'.plane[data-plane="{plane}"] .slice') for plane in ("axial", "coronal", "sagittal")
    }
    return {plane: (int(text.split("/")[0]), int(text.split("/")[1])) for plane, text in texts.items()}


def serious_findings(page: Any) -> list[str]:
    """What axe-core finds that is serious or critical; run through the debugger, so that the page's policy stays."""
    if not AXE.is_file():
        pytest.skip(f"no axe-core: {AXE}; run make viewer")
    debugger = page.context.new_cdp_session(page)
    debugger.send("Runtime.evaluate", {"expression": AXE.read_text()})
    run = {"expression": "axe.run().then(JSON.stringify)", "awaitPromise": True, "returnByValue": True}
    found = json.loads(debugger.send("Runtime.evaluate", run)["result"]["value"])
    assert found["passes"], "axe found nothing to look at"
    return [
        f"{rule['id']}: {rule['help']}: {[node['html'] for node in rule['nodes']]}"
        for rule in found["violations"] if rule["impact"] in ("serious", "critical")
    ]  # fmt: skip
