"""The desk's append-only record of who changed what: one row a change, in the change's own transaction.

Each row carries the hash of the row before. Only one process writes at a time (`BEGIN IMMEDIATE`), so the chain has
no forks and no gaps. The gate notes its newest row from time to time, where the agents' side cannot write.
"""

import json
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, insert, select

from opspilot_mcp.store import canonical, chain
from opspilot_mcp.store.bulk import Bulk
from opspilot_mcp.store.schema import audit

_INSERT = insert(audit)
_INSERT_MANY = Bulk(_INSERT, *chain.COLUMNS, "hash")
_HEAD = select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)


class Entry(BaseModel):
    """One audit row; `detail` holds ids, states and our own words, never a stranger's text."""

    model_config = ConfigDict(frozen=True)

    seq: int
    at_ms: int
    actor: str
    action: str
    subject: str
    detail: dict[str, object]


def record(
    conn: Connection, actor: str, action: str, subject: str, *, now: int, detail: Mapping[str, object] | None = None
) -> None:
    """Append one row to the chain, in the caller's transaction. `actor` is the door's principal."""
    conn.execute(_INSERT, chain.linked(head(conn), actor, action, subject, detail or {}, now=now))


def record_many(
    conn: Connection, actor: str, events: Iterable[tuple[str, str, Mapping[str, object]]], *, now: int
) -> None:
    """Append one row for each (action, subject, detail), in order: a storm opens dozens of incidents at once."""
    at, previous = head(conn)
    rows: list[dict[str, object]] = []
    for action, subject, detail in events:
        rows.append(chain.linked((at, previous), actor, action, subject, detail, now=now))
        at, previous = at + 1, str(rows[-1]["hash"])
    _INSERT_MANY.run(conn, rows)


def head(conn: Connection) -> tuple[int, str]:
    """Return the newest row's number and hash; (0, zeros) before the first."""
    found = conn.execute(_HEAD).first()
    return (found.seq, found.hash) if found else (0, chain.START)


def record_batch(conn: Connection, actor: str, action: str, subject: str, members: Iterable[str], *, now: int) -> None:
    """Append one row for many changes: their count and the SHA-256 of their ids, a line each, in order."""
    ids = list(members)
    digest = canonical.sha256("".join(f"{member}\n" for member in ids).encode())
    record(conn, actor, action, subject, now=now, detail={"count": len(ids), "members_sha256": digest})


def has(conn: Connection, subject: str, action: str) -> bool:
    """Return whether `action` was ever done to `subject`."""
    query = select(audit.c.seq).where(audit.c.subject == subject, audit.c.action == action).limit(1)
    return conn.execute(query).first() is not None


def of_subject(conn: Connection, subject: str, *, limit: int = 100) -> list[Entry]:
    """Return the newest `limit` rows about `subject`, oldest first."""
    rows = conn.execute(
        select(audit).where(audit.c.subject == subject).order_by(audit.c.seq.desc()).limit(limit)
    ).mappings()
    return [Entry.model_validate({**row, "detail": json.loads(row["detail"])}) for row in reversed(rows.all())]
