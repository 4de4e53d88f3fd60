"""The answers as they lie in the database: rows are only ever added, each with the hash of the row before it.

A row that was edited, removed or put in is found, because no hash after it fits any more; rows cut off at the end are
found by `head`, which counts them.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
    update,
)

TABLES = MetaData()

study = Table("study", TABLES, Column("protocol_sha256", String(64), primary_key=True))
"""One row: which study the answers belong to."""

people = Table(
    "people",
    TABLES,
    Column("name", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("place", Integer),
)
redeemed = Table(
    "redeemed",
    TABLES,
    Column("token_sha256", String(64), primary_key=True),
    Column("name", ForeignKey("people.name"), nullable=False),
    Column("at", String(32), nullable=False),
)
sessions = Table(
    "sessions",
    TABLES,
    Column("cookie_sha256", String(64), primary_key=True),
    Column("name", ForeignKey("people.name"), nullable=False, index=True),
    Column("at", String(32), nullable=False),
    Column("ended", Integer, nullable=False, default=0),
)
seen = Table(
    "seen",
    TABLES,
    Column("cookie_sha256", ForeignKey("sessions.cookie_sha256"), primary_key=True),
    Column("at", String(32), nullable=False),
)
"""When somebody last sent a request, give or take a hundredth of the time he may be idle."""

views = Table(
    "views",
    TABLES,
    Column("name", ForeignKey("people.name"), primary_key=True),
    Column("slot", String(64), primary_key=True),
    Column("view", Text, nullable=False),
)
log = Table(
    "log",
    TABLES,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),
    Column("reader", ForeignKey("people.name"), nullable=False),
    Column("slot", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("question", String(64)),
    Column("value", Text),
    Column("undoes", Integer),
    Column("key", String(64), nullable=False),
    Column("elapsed_ms", Integer),
    Column("sha256", String(64), nullable=False),
    UniqueConstraint("reader", "key"),
    Index("log_slot", "reader", "slot"),
    Index("log_kind", "reader", "kind"),
)
head = Table(
    "head",
    TABLES,
    Column("only", Integer, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
)

FIELDS = ("seq", "at", "reader", "slot", "kind", "question", "value", "undoes", "key", "elapsed_ms")
"""What a row's hash covers, with the hash of the row before."""

_LAST, _ADD, _MOVE = select(head.c.seq, head.c.sha256), insert(log), update(head)


def begin_log(connection: Connection, protocol_sha256: str) -> str:
    """Make the tables where they are missing; returns the protocol that the answers belong to."""
    TABLES.create_all(connection)
    if connection.execute(select(head)).first() is None:
        connection.execute(insert(head).values(only=1, seq=0, sha256=protocol_sha256))
        connection.execute(insert(study).values(protocol_sha256=protocol_sha256))
    return str(connection.execute(select(study.c.protocol_sha256)).scalar_one())


def append(connection: Connection, **values: Any) -> None:
    """Add one row.

    Args:
        connection: in a transaction of the one writer.
        **values: columns of `log` but `seq` and `sha256`; what is left out is empty.
    """
    last = connection.execute(_LAST).one()
    row = {"question": None, "value": None, "undoes": None, "elapsed_ms": None, **values, "seq": last.seq + 1}
    digest = row_hash(last.sha256, row)
    connection.execute(_ADD, {**row, "sha256": digest})
    connection.execute(_MOVE, {"seq": row["seq"], "sha256": digest})


def row_hash(before: str, row: Mapping[str, Any]) -> str:
    """SHA-256 of a row and of the hash before it."""
    text = json.dumps([before, *(row[name] for name in FIELDS)], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def fault(rows: Iterable[Mapping[str, Any]], last: Any, protocol_sha256: str) -> str:
    """What is wrong with the chain, in a few words; an empty text when nothing is.

    Args:
        rows: all rows of `log` by `seq`.
        last: the row of `head`: `seq` and `sha256`.
        protocol_sha256: what the chain begins with.
    """
    digest, number = protocol_sha256, 0
    for row in rows:
        number += 1
        digest = row_hash(digest, row)
        if row["seq"] != number or row["sha256"] != digest:
            return f"row {number} is not what was written, or a row before it is missing"
    if (last.seq, last.sha256) != (number, digest):
        return f"expected {last.seq} rows, found {number}: rows at the end are missing or were put in"
    return ""


def all_rows(connection: Connection) -> list[Row[Any]]:
    """Every row of the log in order."""
    return list(connection.execute(select(log).order_by(log.c.seq)))
