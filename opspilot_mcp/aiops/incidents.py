"""The incident: one cause and the alerts folded into it, its lifecycle, and what people did about it.

Title, services and root candidates are built from names that monitors sent, so they are strangers' text, as are the
alerts' own words; whoever shows them to a model marks them so. States, ids, counts and kinds of reasons are ours.

An incident is *recovered* while no alert in it fires; HOLD_MS later it resolves by itself, so that flapping does not
close it. An alert that fires after it was resolved re-opens it, whoever resolved it.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, insert, select, update

from opspilot_mcp import text
from opspilot_mcp.errors import Conflict, IllegalMove, InvalidInput, NotFound
from opspilot_mcp.store import audit, ids, merges
from opspilot_mcp.store.schema import incident_notes, incident_services, incidents

State = Literal["open", "acknowledged", "resolved", "merged"]
Tier = Literal["L1", "L2", "L3"]

HOLD_MS = 330_000  # how long recovery must last: a monitor re-fires within this
MAX_NOTE = 20_000
COUNT_UP_TO = 1000
ACTIVE: tuple[State, ...] = ("open", "acknowledged")

# What a person or agent may do. Merging is a move of its own, and nothing leaves `merged`.
MOVES: dict[State, frozenset[State]] = {
    "open": frozenset({"acknowledged", "resolved"}),
    "acknowledged": frozenset({"open", "resolved"}),
    "resolved": frozenset({"open"}),
    "merged": frozenset(),
}


class Root(BaseModel):
    """A likely cause: `entity` is a name of the estate (strangers' text), `why` a sentence with such names in it."""

    model_config = ConfigDict(frozen=True)

    entity: str
    score: float
    why: str


class Incident(BaseModel):
    """One incident as stored. `title`, `cluster`, `env`, `services` and `root_candidates` are strangers' text.

    `version` counts what voids a page that was written before: state, tier, a graver severity, a merge or split by a
    person. Alerts that join do not change it.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    version: int
    key: str
    state: State
    title: str
    severity: Literal["info", "warning", "error", "critical"]
    tier: Tier
    pages: bool
    cluster: str
    env: str
    opened_ms: int
    last_event_ms: int
    acknowledged_ms: int | None
    resolved_ms: int | None
    recovered_ms: int | None
    alert_count: int
    root_candidates: tuple[Root, ...]
    runbook: str | None
    merged_into: int | None
    services: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return ids.shown("INC", self.number)


class Note(BaseModel):
    """What somebody wrote about an incident. `body` is an agent's or a person's text."""

    model_config = ConfigDict(frozen=True)

    author: str
    body: str
    at_ms: int


class Page(NamedTuple):
    """One page of incidents, where to go on, and how many match (None: over 1,000)."""

    incidents: list[Incident]
    next_cursor: str | None
    matching: int | None


class Changed(NamedTuple):
    """What became of a change, and the incident as it is now."""

    status: Literal["applied", "unchanged", "conflict"]
    incident: Incident


_SERVICES = (
    select(incident_services.c.incident_id, incident_services.c.service)
    .order_by(incident_services.c.service)
)  # fmt: skip


# -- reading -----------------------------------------------------------------------------------------------------------


def get(conn: Connection, incident_id: str) -> Incident:
    """Return one incident, merged ones too. Raises NotFound."""
    number = ids.number("INC", incident_id)
    found = by_number(conn, [number])
    if not found:
        raise NotFound(f"There is no {ids.shown('INC', number)}. list_incidents shows what exists.")
    return found[0]


def by_number(conn: Connection, numbers: Iterable[int]) -> list[Incident]:
    """Return the incidents that exist among `numbers`, in ascending order."""
    return _records(conn, select(incidents).where(incidents.c.id.in_(list(numbers))).order_by(incidents.c.id))


def find(
    conn: Connection,
    *,
    states: Sequence[State] = ACTIVE,
    service: str | None = None,
    cursor: str | None = None,
    limit: int = 20,
) -> Page:
    """Return incidents in these states, the latest event first. Raises InvalidInput for a cursor it did not make."""
    matching = _matching(states, service)
    query = select(incidents).where(*matching)
    if cursor is not None:
        at, number = _parse_cursor(cursor)
        older = (incidents.c.last_event_ms == at) & (incidents.c.id < number)
        query = query.where((incidents.c.last_event_ms < at) | older)
    query = query.order_by(incidents.c.last_event_ms.desc(), incidents.c.id.desc()).limit(limit + 1)
    found = _records(conn, query)
    last = found[limit - 1] if len(found) > limit else None
    return Page(found[:limit], f"{last.last_event_ms}.{last.number}" if last else None, _count(conn, matching))


def _matching(states: Sequence[State], service: str | None) -> list[ColumnElement[bool]]:
    matching: list[ColumnElement[bool]] = [incidents.c.state.in_(list(states))]
    if service is not None:
        hit = select(incident_services.c.incident_id).where(incident_services.c.service == service)
        matching.append(incidents.c.id.in_(hit))
    return matching


def _count(conn: Connection, matching: Sequence[ColumnElement[bool]]) -> int | None:
    some = select(incidents.c.id).where(*matching).limit(COUNT_UP_TO + 1).subquery()
    found = conn.execute(select(func.count()).select_from(some)).scalar_one()
    return found if found <= COUNT_UP_TO else None


def _parse_cursor(cursor: str) -> tuple[int, int]:
    at, _, number = cursor.partition(".")
    # More than 18 digits would not fit the 64 bits of a column.
    if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in (at, number)):
        raise InvalidInput("The cursor is not one of ours. Pass next_cursor of the page before, or leave it out.")
    return int(at), int(number)


def _records(conn: Connection, query: Select[Any]) -> list[Incident]:
    rows = conn.execute(query).mappings().all()
    services: dict[int, list[str]] = {row["id"]: [] for row in rows}
    for number, service in conn.execute(_SERVICES.where(incident_services.c.incident_id.in_(list(services)))):
        services[number].append(service)
    return [_record(row, services[row["id"]]) for row in rows]


def _record(row: RowMapping, services: Sequence[str]) -> Incident:
    roots = json.loads(row["root_candidates"])
    return Incident.model_validate({**row, "number": row["id"], "root_candidates": roots, "services": services})


def survivors(conn: Connection, numbers: Iterable[int]) -> dict[int, int]:
    """Return for each number the incident that holds its alerts now: itself, or the end of its merges."""
    return merges.ends(conn, incidents, numbers)


# -- what people and agents do -----------------------------------------------------------------------------------------


def move(
    conn: Connection, incident_id: str, to: State, *, actor: str, now: int, expected_version: int | None = None
) -> Changed:
    """Acknowledge, resolve or re-open (`to` = "open"). Raises IllegalMove for a state that may not follow."""
    before = get(conn, incident_id)
    if expected_version is not None and expected_version != before.version:
        return Changed("conflict", before)
    if before.state == to:
        return Changed("unchanged", before)
    if to not in MOVES[before.state]:
        raise IllegalMove(f"{before.id} is {before.state}; {_allowed(before)}.")
    stamps: dict[str, dict[str, object]] = {
        "acknowledged": {"acknowledged_ms": now},
        "resolved": {"resolved_ms": now},
        # Without this a re-opened incident whose alerts are all quiet would resolve again at the next look.
        "open": {"acknowledged_ms": None, "resolved_ms": None, "recovered_ms": None},
    }
    if not _change(conn, before, {"state": to, **stamps[to]}):
        return Changed("conflict", get(conn, incident_id))
    action = {"open": "incident.reopened"}.get(to, f"incident.{to}")
    audit.record(conn, actor, action, before.id, now=now, detail={"from": before.state})
    return Changed("applied", get(conn, incident_id))


def _allowed(incident: Incident) -> str:
    if incident.state == "merged":
        return f"its alerts are in {ids.shown('INC', incident.merged_into or 0)}, change that one"
    return f"from there it can become {', '.join(sorted(MOVES[incident.state]))}"


def climb(conn: Connection, before: Incident, tier: Tier, *, actor: str, now: int) -> Incident:
    """Move an incident to a higher tier. Raises Conflict when somebody changed it first."""
    if not _change(conn, before, {"tier": tier}):
        raise Conflict(f"{before.id} was changed by somebody else. get_incident shows it as it is now.")
    audit.record(conn, actor, "incident.escalated", before.id, now=now, detail={"from": before.tier, "to": tier})
    return get(conn, before.id)


def _change(conn: Connection, before: Incident, values: dict[str, object]) -> bool:
    """Set `values` and count the version up; False when somebody changed the incident since."""
    result = conn.execute(
        update(incidents)
        .where(
            incidents.c.id == before.number,
            incidents.c.version == before.version,
            incidents.c.state == before.state,
        )
        .values(version=before.version + 1, **values)
    )
    return result.rowcount == 1


def add_note(conn: Connection, incident_id: str, body: str, *, actor: str, now: int) -> Note:
    """Keep what somebody wrote. Raises InvalidInput when it is empty or too long; the version stays."""
    incident = get(conn, incident_id)
    kept = text.clean(body).strip()
    if not kept:
        raise InvalidInput("The note is empty. Write what the next person should know.")
    if len(kept) > MAX_NOTE:
        raise InvalidInput(f"The note has {len(kept)} characters, more than {MAX_NOTE}. Shorten it.")
    note = Note(author=actor, body=kept, at_ms=now)
    conn.execute(insert(incident_notes).values(incident_id=incident.number, **note.model_dump()))
    audit.record(conn, actor, "incident.noted", incident.id, now=now)
    return note


def notes(conn: Connection, incident: Incident, *, limit: int = 50) -> list[Note]:
    """Return the newest notes, oldest first."""
    columns = (incident_notes.c.author, incident_notes.c.body, incident_notes.c.at_ms)
    query = select(*columns).where(incident_notes.c.incident_id == incident.number)
    rows = conn.execute(query.order_by(incident_notes.c.id.desc()).limit(limit)).mappings().all()
    return [Note.model_validate(row) for row in reversed(rows)]


# -- what time does ----------------------------------------------------------------------------------------------------


def resolve_recovered(conn: Connection, *, actor: str, now: int) -> list[str]:
    """Resolve every incident that has been quiet for HOLD_MS, as of the moment it recovered; returns their ids."""
    due = (incidents.c.state.in_(ACTIVE)) & (incidents.c.recovered_ms <= now - HOLD_MS)
    numbers = list(conn.execute(select(incidents.c.id).where(due).order_by(incidents.c.id)).scalars())
    if not numbers:
        return []
    conn.execute(
        update(incidents)
        .where(incidents.c.id.in_(numbers))
        .values(state="resolved", resolved_ms=incidents.c.recovered_ms, version=incidents.c.version + 1)
    )
    shown = [ids.shown("INC", number) for number in numbers]
    for one in shown:
        audit.record(conn, actor, "incident.resolved", one, now=now, detail={"why": "every alert in it recovered"})
    return shown
