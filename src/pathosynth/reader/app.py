"""The server as one application: its routes, how errors are told, and the gate in front."""

import logging
from collections.abc import Collection
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from pathosynth.reader import pages, routes
from pathosynth.reader.refusals import Refused
from pathosynth.reader.security import LOCAL, Gate
from pathosynth.reader.site import Site

STATIC = Path(__file__).parent / "static"
"""The built pages (``make viewer``)."""

_log = logging.getLogger(__name__)


def make_app(site: Site, *, hosts: Collection[str] = (), static: Path = STATIC) -> Gate:
    """The whole application.

    Args:
        site: the study, its store and its clock.
        hosts: host names it answers to beside those of this machine.
        static: folder of the built pages.
    """
    return Gate(make_api(site, static), {*LOCAL, *hosts}, site.https, site.clock)


def make_api(site: Site, static: Path = STATIC) -> FastAPI:
    """The routes without the gate; no documentation pages, because those load scripts from elsewhere."""
    app = FastAPI(title="pathosynth reader study", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.site = site
    app.state.static = static
    app.include_router(pages.router)
    app.include_router(routes.router)
    if static.is_dir():
        app.mount("/static", StaticFiles(directory=static))
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(SQLAlchemyError, _not_saved)
    app.add_exception_handler(Exception, _unexpected)
    return app


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)  # the type this handler is registered for
    wait = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    return JSONResponse({"error": str(error)}, error.status, headers=wait)


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # the type this handler is registered for
    return JSONResponse({"error": str(error.detail)}, error.status_code, headers=error.headers)


async def _not_valid(_: Request, error: Exception) -> JSONResponse:
    """Which fields are wrong and why; what was sent is not given back."""
    assert isinstance(error, RequestValidationError)  # the type this handler is registered for
    told = "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()[:5])
    return JSONResponse({"error": f"The request is not as expected: {_plain(told)}."}, 422)


async def _not_saved(_: Request, error: Exception) -> JSONResponse:
    _log.error("The database refused: %s", error)
    return JSONResponse({"error": "This could not be saved. Try again."}, 503, headers={"Retry-After": "1"})


async def _unexpected(_: Request, error: Exception) -> JSONResponse:
    _log.error("An error nobody foresaw", exc_info=error)
    return JSONResponse({"error": "Something went wrong; the server's log tells what."}, 500)


def _plain(text: str) -> str:
    """Text that any response can hold: unknown keys come back in it, and they may be anything."""
    return text.encode("ascii", "replace").decode()[:500]
