"""A browser's part in tests: logs in, sends the CSRF token, reads its study from the first image to the last."""

import json
import uuid
from typing import Any

from starlette.testclient import TestClient


class Browser:
    """One browser; `token` logs it in."""

    def __init__(self, app: Any, token: str = "") -> None:
        self.http = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False, follow_redirects=False)
        if token:
            self.http.__enter__()  # one event loop for all requests, until `close`
            assert self.http.post("/api/session", json={"token": token}).status_code == 200
            self.http.headers["X-CSRF-Token"] = self.get("/api/me")["csrf"]

    def close(self) -> None:
        self.http.__exit__()

    def identity(self) -> dict[str, str]:
        """Headers by which the server knows this browser."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        return {"cookie": cookies, "x-csrf-token": self.http.headers["X-CSRF-Token"]}

    def get(self, path: str) -> Any:
        response = self.http.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    def current(self) -> str | None:
        return self.get("/api/progress")["current"]

    def answer(self, slot: str, question: str, value: Any, key: str = "") -> Any:
        body = {"value": value, "key": key or str(uuid.uuid4()), "elapsed_ms": 10}
        head = {"Content-Type": "application/json"}
        return self.http.put(f"/api/slots/{slot}/answers/{question}", content=json.dumps(body), headers=head)

    def undo(self, slot: str) -> Any:
        return self.http.post(f"/api/slots/{slot}/undo", json={"key": str(uuid.uuid4())})

    def complete(self, slot: str) -> Any:
        return self.http.post(f"/api/slots/{slot}/complete", json={"key": str(uuid.uuid4()), "elapsed_ms": 100})

    def rate(self, slot: str, grade: str = "2") -> Any:
        """Answer what is required and close the slot."""
        for question, value in (("quality", grade), ("diagnostic", grade), ("origin", "real-sure")):
            assert self.answer(slot, question, value).status_code == 200
        response = self.complete(slot)
        assert response.status_code == 200, response.text
        return response.json()
