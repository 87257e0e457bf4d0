"""The desk's append-only record of who changed what: one row a change, in the change's own transaction."""

import hashlib
import json
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, insert, select

from opspilot_mcp.store.schema import audit

_INSERT = insert(audit)


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
    """Append one row. `actor` is the door's principal."""
    conn.execute(
        _INSERT,
        {
            "at_ms": now,
            "actor": actor,
            "action": action,
            "subject": subject,
            "detail": json.dumps(detail or {}, sort_keys=True),
        },
    )


def record_batch(conn: Connection, actor: str, action: str, subject: str, members: Iterable[str], *, now: int) -> None:
    """Append one row for many changes: their count and the SHA-256 of their ids, a line each, in order."""
    ids = list(members)
    digest = hashlib.sha256("".join(f"{member}\n" for member in ids).encode()).hexdigest()
    record(conn, actor, action, subject, now=now, detail={"count": len(ids), "members_sha256": digest})


def of_subject(conn: Connection, subject: str, *, limit: int = 100) -> list[Entry]:
    """Return the newest `limit` rows about `subject`, oldest first."""
    rows = conn.execute(
        select(audit).where(audit.c.subject == subject).order_by(audit.c.seq.desc()).limit(limit)
    ).mappings()
    return [Entry.model_validate({**row, "detail": json.loads(row["detail"])}) for row in reversed(rows.all())]
