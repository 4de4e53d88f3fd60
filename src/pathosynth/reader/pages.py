"""The pages: built shells that hold nothing of the study."""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from pathosynth.reader.refusals import Refused
from pathosynth.reader.sessions import Person
from pathosynth.reader.site import as_person

router = APIRouter(include_in_schema=False)

HOME = {"reader": "/read", "admin": "/admin"}
"""Where who is logged in belongs."""


@router.get("/")
async def root(request: Request) -> Response:
    """To the page of whoever is logged in, or to the log-in."""
    who = await _who(request)
    return _to(HOME[who.role] if who else "/login")


@router.get("/login")
async def login(request: Request) -> Response:
    """The log-in; the token stands in the fragment, which browsers do not send."""
    return _shell(request, "login.html")


@router.get("/read")
async def read(request: Request) -> Response:
    """The reader's page."""
    return await _page(request, "read.html", "reader")


@router.get("/admin")
async def admin(request: Request) -> Response:
    """The progress of all readers."""
    return await _page(request, "admin.html", "admin")


async def _page(request: Request, name: str, role: str) -> Response:
    who = await _who(request)
    if who is None:
        return _to("/login")
    return _shell(request, name) if who.role == role else _to(HOME[who.role])


async def _who(request: Request) -> Person | None:
    try:
        return await as_person(request, lambda connection, who: who)
    except Refused:
        return None


def _shell(request: Request, name: str) -> Response:
    static: Path = request.app.state.static
    if not (static / name).is_file():
        raise Refused(503, "The pages are not built. Run make viewer, then start the server again.")
    return FileResponse(static / name, media_type="text/html; charset=utf-8")


def _to(path: str) -> Response:
    return RedirectResponse(path, 303)
