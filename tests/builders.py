"""Records with sane defaults, so that a test states only what it is about."""

from typing import Any

from sqlalchemy import Connection

from opspilot_mcp.desk import tickets
from opspilot_mcp.desk.tickets import NewTicket, Ticket
from opspilot_mcp.policy import Policy
from tests.conftest import NOON


def new_ticket(**over: Any) -> NewTicket:
    fields: dict[str, Any] = {
        "subject": "Export to CSV stops at row 500",
        "body": "Every export since Monday ends after 500 rows. We need the full list for payroll.",
        "requester_email": "dana@example.com",
        "requester_name": "Dana Lee",
    }
    return NewTicket(**{**fields, **over})


def stored_ticket(conn: Connection, /, *, now: int = NOON, verified: bool = True, **over: Any) -> Ticket:
    return tickets.receive(
        conn,
        new_ticket(**over),
        actor="operator:test",
        source="import" if verified else "agent",
        verified=verified,
        policy=Policy(),
        now=now,
    ).ticket
