"""What happened in an incident, told in order: alerts by condition, what people did, what correlation changed.

A condition is one check on one thing: its alerts share a fingerprint, however often it fired. Names and summaries in
both records are strangers' text; kinds, counts, instants and ids are ours.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, case, func, select

from opspilot_mcp.aiops import incidents, runbooks
from opspilot_mcp.aiops.incidents import Incident
from opspilot_mcp.store import audit, ids
from opspilot_mcp.store.schema import alerts

_GRAVITY = {"info": 0, "warning": 1, "error": 2, "critical": 3}
_BY_GRAVITY = tuple(_GRAVITY)


class Why(BaseModel):
    """Why an alert is where it is, as the engine said it. `entity` and `text` hold names: strangers' text."""

    model_config = ConfigDict(frozen=True)

    kind: str
    entity: str | None
    hops: int | None
    seconds: float | None
    score: float | None
    text: str


class Member(BaseModel):
    """One condition in an incident. `why` is the reason of its first alert; repeats follow it."""

    model_config = ConfigDict(frozen=True)

    fingerprint: str
    alertname: str
    service: str | None
    instance: str | None
    host: str | None
    summary: str  # of the first alert
    change: str | None
    severity: Literal["info", "warning", "error", "critical"]  # the gravest
    status: Literal["firing", "resolved"]  # the latest, by event time
    alerts: int
    first_ms: int
    last_ms: int
    why: Why | None
    also_explained_by: tuple[str, ...]  # incident ids, best first
    flags: tuple[str, ...]


class Members(NamedTuple):
    """The conditions in the order they came, and how many there are in all."""

    members: list[Member]
    total: int


class Event(BaseModel):
    """One line of the timeline. `what` is ours; `name` is a stranger's; `text` is what an agent or a person wrote."""

    model_config = ConfigDict(frozen=True)

    at_ms: int
    what: str  # "alert", "recovered", "note", "step", or an audit action such as "incident.acknowledged"
    actor: str | None = None
    name: str | None = None
    text: str | None = None


_FIRST = func.min(alerts.c.id)
_GROUPS = (
    select(
        alerts.c.fingerprint,
        _FIRST.label("first"),
        func.count().label("alerts"),
        func.min(alerts.c.ts_ms).label("first_ms"),
        func.max(alerts.c.ts_ms).label("last_ms"),
        func.max(case((alerts.c.status == "firing", alerts.c.ts_ms), else_=-1)).label("fired_ms"),
        func.max(case((alerts.c.status == "resolved", alerts.c.ts_ms), else_=-1)).label("ended_ms"),
        func.max(case(_GRAVITY, value=alerts.c.severity, else_=0)).label("gravity"),
    )
    .group_by(alerts.c.fingerprint)
    .order_by(_FIRST)
)
_DETAILS = select(
    alerts.c.id,
    alerts.c.alertname,
    alerts.c.service,
    alerts.c.instance,
    alerts.c.host,
    alerts.c.summary,
    alerts.c.change,
    alerts.c.reason,
    alerts.c.also_explained_by,
    alerts.c.flags,
)


def members(conn: Connection, incident: Incident, *, limit: int = 50) -> Members:
    """Return the conditions folded into an incident, at most `limit` of them, in the order they came."""
    mine = alerts.c.incident_id == incident.number
    groups = conn.execute(_GROUPS.where(mine).limit(limit)).mappings().all()
    found = conn.execute(_DETAILS.where(alerts.c.id.in_([group["first"] for group in groups]))).mappings()
    details = {row["id"]: dict(row) for row in found}
    also = _also(conn, details.values(), own=incident.number)
    total = len(groups)
    if total == limit:
        distinct = select(func.count(alerts.c.fingerprint.distinct())).where(mine)
        total = conn.execute(distinct).scalar_one()
    return Members([_member(group, details[group["first"]], also) for group in groups], total)


def _member(group: Any, detail: dict[str, Any], also: dict[int, int]) -> Member:
    others = (also[number] for number in json.loads(detail["also_explained_by"] or "[]") if number in also)
    return Member(
        **{name: detail[name] for name in ("alertname", "service", "instance", "host", "summary", "change")},
        **{name: group[name] for name in ("fingerprint", "alerts", "first_ms", "last_ms")},
        severity=_BY_GRAVITY[group["gravity"]],
        status="firing" if group["fired_ms"] > group["ended_ms"] else "resolved",
        why=json.loads(detail["reason"]) if detail["reason"] else None,
        also_explained_by=tuple(dict.fromkeys(ids.shown("INC", number) for number in others)),
        flags=tuple(json.loads(detail["flags"])),
    )


def _also(conn: Connection, details: Any, *, own: int) -> dict[int, int]:
    """Return where each incident that was a runner-up is now; one that has become this incident is left out."""
    named = {number for row in details for number in json.loads(row["also_explained_by"] or "[]")}
    return {number: end for number, end in incidents.survivors(conn, named).items() if end != own}


def events(conn: Connection, incident: Incident, told: Sequence[Member], *, limit: int = 100) -> list[Event]:
    """Return the newest `limit` events, oldest first: the conditions `told`, what people and correlation did."""
    found = [Event(at_ms=one.first_ms, what="alert", name=one.alertname) for one in told]
    found += [
        Event(at_ms=one.last_ms, what="recovered", name=one.alertname) for one in told if one.status == "resolved"
    ]
    for note in incidents.notes(conn, incident, limit=limit):
        found.append(Event(at_ms=note.at_ms, what="note", actor=note.author, text=note.body))
    for entry in audit.of_subject(conn, incident.id, limit=limit):
        if entry.action not in ("incident.noted", "runbook.step_done"):
            ticket = entry.detail.get("ticket")
            about = ticket if isinstance(ticket, str) else None
            found.append(Event(at_ms=entry.at_ms, what=entry.action, actor=entry.actor, text=about))
    for done in runbooks.ticked(conn, incident.number):
        found.append(Event(at_ms=done.at_ms, what="step", actor=done.by, text=f"step {done.step}"))
    return sorted(found, key=lambda event: event.at_ms)[-limit:]
