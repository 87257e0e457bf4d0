"""Rows for the insight rooms, put straight into the tables: these rooms read what others wrote."""

from itertools import count

from sqlalchemy import Connection, insert

from opspilot_mcp.clock import DAY_MS, HOUR_MS
from opspilot_mcp.insights.ledger import AiCall, record
from opspilot_mcp.store.schema import alerts, incidents, proposals, ticket_tags, tickets
from tests.conftest import NOON

WEEK = 7 * DAY_MS
_SERIAL = count(1)


def ticket(conn: Connection, *, age_ms: int = HOUR_MS, tags: tuple[str, ...] = (), **columns: object) -> int:
    """Insert an open, untriaged ticket made `age_ms` before NOON; returns its number."""
    made = NOON - age_ms
    row: dict[str, object] = {
        "version": 1,
        "source": "import",
        "subject": "s",
        "body": "b",
        "requester_verified": False,
        "status": "open",
        "escalate": False,
        "created_ms": made,
        "updated_ms": made,
        "breached": "",
    }
    number: int = conn.execute(insert(tickets).values(row | columns).returning(tickets.c.id)).scalar_one()
    if tags:
        conn.execute(insert(ticket_tags), [{"ticket_id": number, "tag": tag} for tag in tags])
    return number


def call(conn: Connection, *, age_ms: int = HOUR_MS, **fields: object) -> None:
    """Record one AI call made `age_ms` before NOON."""
    usual = {"operation": "read", "subject": "T-1", "engine": "anthropic", "model": "m", "latency_ms": 1.0}
    record(conn, AiCall.model_validate({"at_ms": NOON - age_ms, **usual, **fields}))


def alert(conn: Connection, *, age_ms: int = HOUR_MS) -> None:
    """Insert one firing alert that arrived `age_ms` before NOON."""
    name = f"a{next(_SERIAL)}"
    texts = dict.fromkeys(("cluster", "env", "alertname", "summary", "source", "labels", "flags"), "x")
    instant = {"ts_ms": NOON - age_ms, "arr_ms": NOON - age_ms}
    conn.execute(
        insert(alerts).values(alert_id=name, fingerprint=name, severity="warning", status="firing", **texts, **instant)
    )


def incident(conn: Connection, *, age_ms: int = HOUR_MS, state: str = "open") -> int:
    """Insert one incident opened `age_ms` before NOON."""
    texts = dict.fromkeys(("title", "severity", "tier", "cluster", "env", "root_candidates"), "x")
    instant = {"opened_ms": NOON - age_ms, "last_event_ms": NOON - age_ms}
    values = {"version": 1, "key": f"k{next(_SERIAL)}", "state": state, "pages": True, "alert_count": 1}
    query = insert(incidents).values(**values, **texts, **instant).returning(incidents.c.id)
    number: int = conn.execute(query).scalar_one()
    return number


def proposal(conn: Connection, *, age_ms: int = HOUR_MS, asked: str = "send", outcome: str | None = None) -> int:
    """Insert one proposed reply made `age_ms` before NOON."""
    texts = {"kind": "reply", "subject": "T-1", "channel": "file", "title": "t", "body": "b", "principal": "agent"}
    instant = {"created_ms": NOON - age_ms, "updated_ms": NOON - age_ms}
    query = insert(proposals).values(**texts, subject_version=1, asked=asked, outcome=outcome, **instant)
    number: int = conn.execute(query.returning(proposals.c.id)).scalar_one()
    return number
