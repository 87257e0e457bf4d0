"""Tickets and incidents as people read them. The desk's file is read as a stranger's; nothing here writes to it."""

from typing import NamedTuple

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from opspilot_mcp import proposals
from opspilot_mcp.aiops import incidents, timeline
from opspilot_mcp.aiops.incidents import Incident
from opspilot_mcp.aiops.timeline import Event, Member
from opspilot_mcp.console import charts
from opspilot_mcp.console.door import Turn
from opspilot_mcp.desk import tickets
from opspilot_mcp.desk.tickets import Ticket
from opspilot_mcp.proposals import Proposal

PAGE = 50
_THREAD = 100
_MEMBERS = 60
_PRIORITIES = ("P1", "P2", "P3", "P4")
_STATES: dict[str, tuple[incidents.State, ...]] = {
    "active": ("open", "acknowledged"),
    "resolved": ("resolved",),
    "merged": ("merged",),
}


class TicketPage(NamedTuple):
    """Everything one ticket's page shows."""

    ticket: Ticket
    thread: list[tickets.Message]
    older: int
    why: list[str]
    draft: tickets.Message | None
    proposals: list[Proposal]


class IncidentPage(NamedTuple):
    """Everything one incident's page shows."""

    incident: Incident
    members: list[Member]
    total: int
    events: list[Event]
    proposals: list[Proposal]


def _chosen(turn: Turn, name: str, known: tuple[str, ...]) -> str | None:
    """Return a query parameter that is one of `known`, None when it is missing."""
    value = turn.request.query_params.get(name)
    if value is not None and value not in known:
        raise HTTPException(404, "There is no such page.")
    return value


async def show_queue(turn: Turn) -> Response:
    """GET /tickets: the queue, most at risk first."""
    priority = _chosen(turn, "priority", _PRIORITIES)
    wanted = tickets.QueueFilter.model_validate({"priority": priority})
    cursor = turn.request.query_params.get("cursor")
    page = await turn.door.desk(tickets.queue, wanted, cursor=cursor, limit=PAGE)
    return await turn.draw("tickets.html", page=page, priority=priority, priorities=_PRIORITIES, cursor=cursor)


def ticket_page(conn: Connection, ticket_id: str) -> TicketPage:
    """Return one ticket with its thread, reading, draft and proposals. Raises NotFound."""
    ticket = tickets.get(conn, ticket_id)
    thread, older = tickets.thread(conn, ticket.number, limit=_THREAD)
    why, draft = tickets.latest_why(conn, ticket.number), tickets.latest_draft(conn, ticket.number)
    return TicketPage(ticket, thread, older, why, draft, proposals.of_subject(conn, ticket.id))


async def show_ticket(turn: Turn) -> Response:
    """GET /tickets/T-17."""
    found = await turn.door.desk(ticket_page, turn.request.path_params["id"])
    return await turn.draw("ticket.html", **found._asdict())


async def show_incidents(turn: Turn) -> Response:
    """GET /incidents: the latest event first."""
    state = _chosen(turn, "state", tuple(_STATES)) or "active"
    cursor = turn.request.query_params.get("cursor")
    page = await turn.door.desk(incidents.find, states=_STATES[state], cursor=cursor, limit=PAGE)
    return await turn.draw("incidents.html", page=page, state=state, states=list(_STATES), cursor=cursor)


def incident_page(conn: Connection, incident_id: str) -> IncidentPage:
    """Return one incident with its conditions, timeline and proposals. Raises NotFound."""
    incident = incidents.get(conn, incident_id)
    members = timeline.members(conn, incident, limit=_MEMBERS)
    events = timeline.events(conn, incident, members.members)
    asked = proposals.of_subject(conn, incident.id)
    return IncidentPage(incident, members.members, members.total, events, asked)


async def show_incident(turn: Turn) -> Response:
    """GET /incidents/INC-3."""
    found = await turn.door.desk(incident_page, turn.request.path_params["id"])
    return await turn.draw("incident.html", storm=charts.storm(found.members), **found._asdict())
