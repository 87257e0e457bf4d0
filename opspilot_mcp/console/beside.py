"""The ticket or incident a message is about, as the desk holds it: read as a stranger's file, for showing only."""

from typing import NamedTuple

from sqlalchemy import Connection

from opspilot_mcp.aiops import incidents, timeline
from opspilot_mcp.aiops.incidents import Incident
from opspilot_mcp.aiops.timeline import Member
from opspilot_mcp.desk import labels, tickets
from opspilot_mcp.desk.tickets import Ticket

THREAD = 12
MEMBERS = 15


class TicketBeside(NamedTuple):
    """A ticket, its newest messages and notes, and how many older ones are left out."""

    ticket: Ticket
    thread: list[tickets.Message]
    older: int
    is_blind: bool  # a person must say what it is about before they see what triage thinks


class IncidentBeside(NamedTuple):
    """An incident, the first conditions folded into it, and how many there are in all."""

    incident: Incident
    members: list[Member]
    total: int


def look(conn: Connection, subject: str) -> TicketBeside | IncidentBeside:
    """Return what stands beside a message about `T-17` or `INC-3`. Runs on the gate's bounded desk connection."""
    if subject.startswith("T-"):
        ticket = tickets.get(conn, subject)
        thread, older = tickets.thread(conn, ticket.number, limit=THREAD)
        return TicketBeside(ticket, thread, older, labels.of(conn, ticket.number).state == "blind")
    incident = incidents.get(conn, subject)
    members = timeline.members(conn, incident, limit=MEMBERS)
    return IncidentBeside(incident, members.members, members.total)
