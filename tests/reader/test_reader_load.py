"""100 readers at once while the server is killed ten times: nothing lost, nothing twice, nothing at another image."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from private_postgres import private_postgres, programs
from reader_load import simulate
from reader_served import begin

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    if programs() is None:
        pytest.skip("no PostgreSQL: /usr/lib/postgresql holds no initdb; apt-get install postgresql")
    with private_postgres() as url:
        yield url


def check(found: dict[str, float], least: int) -> None:
    assert (found["lost"], found["duplicated"], found["wrong_case"]) == (0, 0, 0)
    assert found["acknowledged"] > least
    assert found["retries"] > 0


def test_kills_lose_nothing_sqlite(tmp_path: Path) -> None:
    root = begin(tmp_path, each=100, size=8, readers=100)
    found = simulate(root, readers=100, seconds=60, kills=10)
    check(found, 500)


@pytest.mark.postgres
def test_kills_lose_nothing_postgresql(tmp_path: Path, database: str) -> None:
    root = begin(tmp_path, each=100, size=8, readers=100)
    found = simulate(root, database=database, readers=100, seconds=60, kills=10)
    check(found, 500)
