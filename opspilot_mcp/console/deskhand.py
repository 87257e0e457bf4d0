"""What a signed-in person may change at the desk from here: a list of tables and columns, held by SQLite itself.

The desk's file is a stranger's, as it is for the gate: triggers and views in it cannot run, statements are bounded.
Full text stays unread on purpose: its index is a format of its own, and this process holds open signing keys.
"""

import sqlite3

from opspilot_mcp.gate import deskside
from opspilot_mcp.store import schema

# A ticket's words, its requester and where it came from are not among them.
_TICKET = (
    "version",
    "updated_ms",
    "status",
    "queue",
    "tier",
    "category",
    "priority",
    "sentiment",
    "escalate",
    "first_response_due_ms",
    "resolution_due_ms",
    "next_due_ms",
    "queue_key",
    "responded_ms",
    "resolved_ms",
    "paused_ms",
    "pauses",
)
_LEARNER = [table.name for name, table in schema.metadata.tables.items() if name.startswith("learner_")]
_UPDATES = {(schema.tickets.name, name) for name in _TICKET} | {
    (schema.triages.name, name) for name in ("correct", "is_p1")
}
_INSERTS = {
    *_LEARNER,
    schema.audit.name,
    schema.drafts.name,
    schema.idempotency.name,
    schema.incident_tickets.name,
    schema.proposals.name,
    schema.reviews.name,
    schema.ticket_tags.name,
}
_DELETES = {*_LEARNER, schema.incident_tickets.name, schema.ticket_tags.name}


def may_only_read(action: int, _1: str | None, _2: str | None, _schema: str | None, inner: str | None) -> int:
    """Answer SQLite: let through plain reads alone."""
    return sqlite3.SQLITE_OK if deskside.may_read(action, inner) else sqlite3.SQLITE_DENY


def may(action: int, first: str | None, second: str | None, _schema: str | None, inner: str | None) -> int:
    """Answer SQLite: let through plain reads and the writes a person's correction, draft or link needs."""
    is_write = (
        (action == sqlite3.SQLITE_UPDATE and ((first, second) in _UPDATES or first in _LEARNER))
        or (action == sqlite3.SQLITE_INSERT and first in _INSERTS)
        or (action == sqlite3.SQLITE_DELETE and first in _DELETES)
    )
    is_fine = deskside.may_read(action, inner) or (is_write and inner is None)
    return sqlite3.SQLITE_OK if is_fine else sqlite3.SQLITE_DENY
