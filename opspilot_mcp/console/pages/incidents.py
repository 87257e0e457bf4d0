"""Incidents, the latest event first, and one of them: storm, causes, reasons, the tickets it explains."""

from typing import NamedTuple

from sqlalchemy import Connection
from starlette.responses import Response

from opspilot_mcp import proposals
from opspilot_mcp.aiops import incidents, runbooks, timeline
from opspilot_mcp.aiops.incidents import Incident
from opspilot_mcp.aiops.runbooks import Ticked
from opspilot_mcp.aiops.timeline import Event, Member
from opspilot_mcp.console import charts
from opspilot_mcp.console.door import Turn
from opspilot_mcp.console.pages.tickets import chosen
from opspilot_mcp.desk import tickets
from opspilot_mcp.desk.tickets import Ticket
from opspilot_mcp.errors import NotFound
from opspilot_mcp.insights import impact
from opspilot_mcp.insights.impact import Link, Suggestion
from opspilot_mcp.proposals import Proposal
from opspilot_mcp.store import ids

PAGE = 50
_MEMBERS = 60
_LINKED = 50
_STATES: dict[str, tuple[incidents.State, ...]] = {
    "active": ("open", "acknowledged"),
    "resolved": ("resolved",),
    "merged": ("merged",),
}


class IncidentPage(NamedTuple):
    """Everything one incident's page shows. A ticket that cannot be read is None beside its link."""

    incident: Incident
    into: str | None
    members: list[Member]
    total: int
    events: list[Event]
    steps: list[Ticked]
    linked: list[tuple[Link, Ticket | None]]
    more_linked: int
    suggested: list[tuple[Suggestion, Ticket | None]]
    more_suggested: int
    proposals: list[Proposal]


async def show_incidents(turn: Turn) -> Response:
    """GET /incidents: the latest event first."""
    state = chosen(turn, "state", tuple(_STATES)) or "active"
    cursor = turn.request.query_params.get("cursor")
    page = await turn.door.desk(incidents.find, states=_STATES[state], cursor=cursor, limit=PAGE)
    return await turn.draw("incidents.html", page=page, state=state, states=list(_STATES), cursor=cursor)


def incident_page(conn: Connection, incident_id: str) -> IncidentPage:
    """Return one incident with its conditions, timeline, tickets and proposals. Raises NotFound."""
    incident = incidents.get(conn, incident_id)
    members = timeline.members(conn, incident, limit=_MEMBERS)
    links, suggested = impact.links_of_incident(conn, incident.id), impact.tickets_of(conn, incident.id)
    return IncidentPage(
        incident,
        ids.shown("INC", incident.merged_into) if incident.merged_into else None,
        members.members,
        members.total,
        timeline.events(conn, incident, members.members),
        runbooks.ticked(conn, incident.number, incident.runbook),
        [(one, _ticket(conn, one.ticket)) for one in links[:_LINKED]],
        max(0, len(links) - _LINKED),
        [(one, _ticket(conn, one.ticket)) for one in suggested.suggestions],
        suggested.left_out,
        proposals.of_subject(conn, incident.id),
    )


def _ticket(conn: Connection, ticket_id: str) -> Ticket | None:
    try:
        return tickets.get(conn, ticket_id)
    except NotFound:
        return None


async def show_incident(turn: Turn) -> Response:
    """GET /incidents/INC-3."""
    return await incident_view(turn, turn.request.path_params["id"])


async def incident_view(turn: Turn, incident_id: str, *, status: int = 200, problem: str = "") -> Response:
    """Return an incident's page; after a refused change with the reason."""
    found = await turn.door.desk(incident_page, incident_id)
    storm = charts.storm(found.members, [root.entity for root in found.incident.root_candidates[:1]])
    return await turn.draw("incident.html", status, storm=storm, problem=problem, **found._asdict())
