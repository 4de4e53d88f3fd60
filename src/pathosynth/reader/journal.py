"""One line in the server's log for every request it refuses, failed log-ins among them."""

import logging
import re
from datetime import datetime

from starlette.types import Scope

_log = logging.getLogger(__name__)

_MOST_CHARACTERS = 64


def note_refusal(scope: Scope, status: int, now: datetime) -> None:
    """Log time, status, method, route, reader and address of a refused request.

    Of what was sent, method and address alone get into the line, and of them plain characters only: no token,
    no answer, and nothing that could look like another line. The reader is `-` where nobody knows him.

    Args:
        scope: of the request, as ASGI has it; its `route` and the `person` of its state where they were found.
        status: of the response, 400 to 499.
        now: the time.
    """
    route = getattr(scope.get("route"), "path", "(no route)")
    person = scope.get("state", {}).get("person", "-")
    address = scope["client"][0] if scope.get("client") else ""
    _log.warning(
        "%s refused %d %s %s, reader %s, from %s", now.isoformat(timespec="seconds"), status,
        _plain(scope["method"]), route, person, _plain(address),
    )  # fmt: skip


def _plain(text: str) -> str:
    """Letters, digits and the signs of addresses; a proxy's header may hold anything."""
    return re.sub(r"[^A-Za-z0-9.:_%\[\]-]", "?", text[:_MOST_CHARACTERS]) or "-"
