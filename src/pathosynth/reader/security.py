"""What stands between the network and the routes: hosts, sizes, headers, and a brake on guessing."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import datetime

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pathosynth.reader.journal import note_refusal

LOCAL = ("127.0.0.1", "localhost", "[::1]")
"""Host names that always work."""

MAX_BODY_BYTES = 65_536

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; style-src 'self'; "
        "img-src 'self' data: blob:; connect-src 'self' blob:; font-src 'self' data:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
    "Cache-Control": "no-store",
}
"""Of every response, so that none can be told from another by them."""

_HTTPS_HEADERS = {"Strict-Transport-Security": "max-age=31536000"}


class Gate:
    """ASGI wrapper: refuses foreign hosts and origins and large bodies, logs refusals, puts headers on everything."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], https: bool, clock: Callable[[], datetime]) -> None:
        self._app = app
        self._clock = clock
        self._hosts = frozenset(host.lower() for host in hosts)
        self._headers = HEADERS | (_HTTPS_HEADERS if https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, self._watched(scope, send))
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise HTTPException(413, "The request is too large.")
            return message

        await self._app(scope, limited, self._watched(scope, send))

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if _host(headers.get("host", "")) not in self._hosts:
            return _refused(421, "This host name is not served. Start the server with --allow-host NAME.")
        origin = headers.get("origin")
        if scope["method"] not in ("GET", "HEAD") and origin is not None:
            scheme, _, name = origin.partition("://")
            if scheme not in ("http", "https") or name.lower() != headers.get("host", "").lower():
                return _refused(403, "This request came from another site.")
        length = headers.get("content-length", "0")
        if not re.fullmatch("[0-9]{1,12}", length) or int(length) > MAX_BODY_BYTES:
            return _refused(413, "The request is too large.")
        return None

    def _watched(self, scope: Scope, send: Send) -> Send:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                if 400 <= message["status"] < 500:
                    note_refusal(scope, message["status"], self._clock())
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in self._headers.items():
                    headers[name] = value
            await send(message)

        return add


class Brake:
    """Counts failed log-ins, per address and in all, and remembers only so many addresses."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, each: int = 10, together: int = 100,
                 seconds: float = 60.0, addresses: int = 1024) -> None:  # fmt: skip
        self._clock, self._each, self._together, self._seconds, self._most = clock, each, together, seconds, addresses
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, address: str) -> int:
        """Seconds until this address may try again, whatever others do; 0 when it may now."""
        return self._until(self._recent(address), self._each)

    def wait_to_fail(self, address: str) -> int:
        """Seconds until this address may fail again, those counted that failed elsewhere; 0 when it may now."""
        return max(self.wait(address), self._until(self._recent(""), self._together))

    def failed(self, address: str) -> None:
        """Count a failed log-in."""
        for name, most in ((address, self._each), ("", self._together)):
            times = [*self._recent(name), self._clock()][-most:]
            self._failed[name] = times
            self._failed.move_to_end(name)
        while len(self._failed) > self._most:
            self._failed.popitem(last=False)

    def remembered(self) -> int:
        """Addresses that are kept."""
        return len(self._failed)

    def _until(self, times: list[float], most: int) -> int:
        if len(times) < most:
            return 0
        return max(0, int(times[-most] + self._seconds - self._clock()) + 1)

    def _recent(self, address: str) -> list[float]:
        since = self._clock() - self._seconds
        return [at for at in self._failed.get(address, []) if at > since]


def _host(header: str) -> str:
    """Host name of a Host header, lower case, without its port; an IPv6 address keeps its brackets."""
    header = header.lower()
    if header.startswith("["):
        name, bracket, port = header.partition("]")
        return name + bracket if port == "" or (port[0] == ":" and port[1:].isdigit()) else ""
    name, colon, port = header.partition(":")
    return name if not colon or port.isdigit() else ""


def _refused(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status)
