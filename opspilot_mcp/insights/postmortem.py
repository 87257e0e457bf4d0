"""A postmortem draft of one incident as Markdown: every fact from a query, the judgement left to the people.

Names, summaries and notes are strangers' text. Each stands in a code span on one line: inside one nothing links,
shouts or ends the line.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from opspilot_mcp import text
from opspilot_mcp.aiops import incidents, runbooks, timeline
from opspilot_mcp.aiops.incidents import Incident
from opspilot_mcp.aiops.timeline import Event, Member
from opspilot_mcp.clock import human_span, iso
from opspilot_mcp.errors import IllegalMove
from opspilot_mcp.insights import impact
from opspilot_mcp.insights.impact import Link, Suggested
from opspilot_mcp.store import ids
from opspilot_mcp.store.schema import alerts

_CONDITIONS = 40
_EVENTS = 60
_NAME_CHARS = 120
_WORDS = {
    "alert": "first alert of",
    "recovered": "recovered:",
    "note": "note by",
    "step": "runbook step done by",
}


def draft(conn: Connection, incident_id: str) -> str:
    """Return the draft. Raises NotFound, and IllegalMove for an incident that is part of another by now."""
    incident = incidents.get(conn, incident_id)
    if incident.merged_into is not None:
        survivor = ids.shown("INC", incident.merged_into)
        raise IllegalMove(f"{incident.id} was merged into {survivor}, and so were its alerts. Write up {survivor}.")
    told = timeline.members(conn, incident, limit=_CONDITIONS)
    events = timeline.events(conn, incident, told.members, limit=_EVENTS)
    linked, tickets = impact.links_of_incident(conn, incident.id), impact.tickets_of(conn, incident.id, limit=20)
    parts = [
        f"# {incident.id}: {_code(incident.title)}",
        _section("Summary", _summary(incident, told.total)),
        _section("Impact", _impact(incident, linked, tickets)),
        _section("Likely cause", _causes(incident)),
        _section("What caught it", _caught(conn, incident, told.members)),
        _section("Timeline", [_event(event) for event in events] or ["- nothing recorded"]),
        _section("What was done", _done(conn, incident)),
        _section("To be answered by people", _questions()),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {title}", "", *lines])


def _summary(incident: Incident, conditions: int) -> list[str]:
    end_ms = incident.resolved_ms or incident.recovered_ms
    over = f"until {iso(end_ms)} ({human_span(end_ms - incident.opened_ms)})" if end_ms else "and is not over"
    return [
        f"- State: {incident.state}, severity {incident.severity}, tier {incident.tier}.",
        f"- It began {iso(incident.opened_ms)} {over}.",
        f"- {incident.alert_count} alerts of {conditions} conditions were folded into it.",
    ]


def _impact(incident: Incident, linked: Sequence[Link], tickets: Suggested) -> list[str]:
    services = ", ".join(_code(name) for name in incident.services) or "none named"
    lines = [f"- Services that alerted: {services}."]
    for words, confirmed in (("a person confirmed", True), ("an agent linked, to be confirmed", False)):
        names = [one.ticket for one in linked if one.is_confirmed is confirmed]
        lines += [f"- Tickets {words}: {', '.join(names)}."] if names else []
    if not tickets.suggestions:
        return [*lines, f"- No {'other ' if linked else ''}open ticket matches it by words and time."]
    named = ", ".join(f"{one.ticket} ({one.score:.2f})" for one in tickets.suggestions)
    more = f" and {tickets.left_out} more" if tickets.left_out else ""
    return [*lines, f"- Open tickets that may be about it, by words and time: {named}{more}. Confirm each."]


def _causes(incident: Incident) -> list[str]:
    if not incident.root_candidates:
        return ["- No candidate was ranked."]
    return [f"{n}. {_code(c.entity)}, {c.score:.2f}: {_code(c.why)}" for n, c in enumerate(incident.root_candidates, 1)]


def _caught(conn: Connection, incident: Incident, told: Sequence[Member]) -> list[str]:
    query = select(alerts.c.source, func.count().label("n")).where(alerts.c.incident_id == incident.number)
    sources = conn.execute(query.group_by(alerts.c.source).order_by(func.count().desc(), alerts.c.source)).all()
    lines = [f"- Monitors: {', '.join(f'{_code(row.source)} ({row.n})' for row in sources)}."] if sources else []
    if told:
        first = min(told, key=lambda one: one.first_ms)
        lines.append(f"- First alert: {_code(first.alertname)} at {iso(first.first_ms)}.")
    if incident.acknowledged_ms is not None:
        lines.append(f"- Somebody took it on after {human_span(incident.acknowledged_ms - incident.opened_ms)}.")
    return lines or ["- Nothing is recorded."]


def _event(event: Event) -> str:
    what = _WORDS.get(event.what, event.what.replace("incident.", "").replace("_", " "))
    who = f" {_code(event.actor)}" if event.actor else ""
    said = " ".join(_code(part) for part in (event.name, event.text) if part)
    return f"- {iso(event.at_ms)} {what}{who}{': ' if who and said else ' ' if said else ''}{said}"


def _done(conn: Connection, incident: Incident) -> list[str]:
    ticked = runbooks.ticked(conn, incident.number)
    if not ticked:
        return ["- No runbook step was ticked off."]
    steps = ", ".join(str(done.step) for done in ticked)
    return [f"- Runbook {_code(incident.runbook or 'unknown')}: steps {steps}."]


def _questions() -> list[str]:
    return [
        "- Was the first candidate the cause? What showed it?",
        "- What ended it, and does that keep it from coming back?",
        "- Which alert should have come earlier, and which should not have come?",
        "- Who does what until when?",
    ]


def _code(name: str) -> str:
    kept, cut = text.cap(text.one_line(name).replace("`", "'"), _NAME_CHARS)
    return f"`{kept or 'nothing'}{'...' if cut else ''}`"
