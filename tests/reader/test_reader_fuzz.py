"""Schemathesis over the whole API: whatever is sent, fitting the schema or not, no answer is a fault of the server."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from reader_served import Served
from schemathesis.generation import GenerationMode
from schemathesis.python import asgi

from pathosynth.reader.app import make_api
from pathosynth.reader.sessions import COOKIE
from pathosynth.reader.site import Site


def fuzz(served: Served, examples: int) -> Counter[int]:
    """Send `examples` requests per route and mode as a logged-in reader; how often each status came."""
    browser = served.browser("R1")
    slot = browser.current()
    place = served.opened.plan.readers[0][0].slots[0]
    real = {"slot": slot, "question": "quality", "volume": place.volume}
    schema = schemathesis.openapi.from_dict(make_api(Site(served.opened, served.store)).openapi())
    statuses: Counter[int] = Counter()
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) == 11
    rules = hypothesis.settings(max_examples=examples, deadline=None, database=None, derandomize=True,
                                suppress_health_check=list(hypothesis.HealthCheck))  # fmt: skip
    with asgi.get_client(served.app) as client:
        client.cookies.set(COOKIE, browser.http.cookies[COOKIE])
        csrf = {"X-CSRF-Token": browser.http.headers["X-CSRF-Token"]}

        def send(case: schemathesis.Case, known: bool) -> None:
            if known:
                case.path_parameters = {name: real[name] for name in case.path_parameters or {}}
            response = case.call(base_url="http://127.0.0.1", session=client, headers=csrf)
            statuses[response.status_code] += 1
            assert response.status_code < 500, (case.method, case.path, response.text)
            if response.status_code >= 400:
                assert set(response.json()) == {"error"}

        for operation in operations:
            if (operation.method, operation.path) == ("delete", "/api/session"):
                continue  # it would log the others out; the matrix of roles has it
            for mode in GenerationMode:
                if mode.is_negative and operation.method == "get":
                    continue  # only bodies can fail to fit: any text fits a path
                strategy = operation.as_strategy(generation_mode=mode)
                rules(hypothesis.given(strategy, st.booleans())(send))()
    return statuses


def test_no_request_is_a_fault_of_the_server(served: Served) -> None:
    statuses = fuzz(served, 8)
    assert sum(statuses.values()) > 80
    assert statuses[200] > 0
    assert statuses[422] > 0


@pytest.mark.slow
def test_thousands_of_requests(toy: Path, serve: Callable[..., Served]) -> None:
    statuses = fuzz(serve(toy), 300)
    assert sum(statuses.values()) > 2000
