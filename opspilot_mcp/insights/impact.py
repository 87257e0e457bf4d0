"""Which tickets does an incident explain, and which incidents could a ticket be about? Suggested, until people say.

Evidence is words and time: a ticket that names a service in which alerts fire, or uses the words the alerts use, and
that came while they fired or soon after. Time alone is no evidence: on a busy desk every incident has tickets beside
it. What is stored is what somebody said: a link, confirmed once a person made it, or that a suggestion is wrong, which
then does not come back. A merge carries both along: they are read for all that was merged into an incident or ticket.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Connection, delete, insert, select

from opspilot_mcp.aiops import incidents, timeline
from opspilot_mcp.aiops.incidents import Incident
from opspilot_mcp.clock import HOUR_MS, MINUTE_MS
from opspilot_mcp.desk import tickets as desk
from opspilot_mcp.errors import IllegalMove, NotAllowed
from opspilot_mcp.store import audit, ids, merges
from opspilot_mcp.store.schema import incident_tickets, tickets
from opspilot_mcp.store.schema import incidents as incident_rows

BEFORE_MS = 10 * MINUTE_MS  # people may notice before a monitor does
AFTER_MS = 2 * HOUR_MS  # and write when they find the time
MOST = 500  # tickets weighed at most, the newest first
MOST_INCIDENTS = 50  # each is read with its alerts
ENOUGH = 0.3
_TEXT = 4_000
_CONDITIONS = 60

_NAMED, _NAMED_MORE, _WORD = 0.5, 0.1, 0.1
_MOST_NAMED, _MOST_WORDS = 3, 4

_WORDS = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Evidence(BaseModel):
    """One reason. `terms` are names and words that strangers wrote; `seconds` runs from the incident's start."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["names_service", "shares_words", "in_time"]
    terms: tuple[str, ...] = ()
    seconds: int | None = None


class Suggestion(BaseModel):
    """One ticket and one incident that may belong together; `score` in 0..1."""

    model_config = ConfigDict(frozen=True)

    ticket: str
    incident: str
    score: float
    why: tuple[Evidence, ...]


class Link(BaseModel):
    """A ticket and the incident somebody says explains it. Both are named as they are now, after any merge."""

    model_config = ConfigDict(frozen=True)

    ticket: str
    incident: str
    by: str
    at_ms: int

    @property
    def is_confirmed(self) -> bool:
        """Whether a person made or confirmed it; an agent's link is the agent's word."""
        return is_person(self.by)


class Suggested(NamedTuple):
    """The best suggestions, best first, and how many more there are above the bar."""

    suggestions: list[Suggestion]
    left_out: int


class _Said(NamedTuple):
    """What a ticket says."""

    id: str
    created_ms: int
    words: frozenset[str]


class _Story(NamedTuple):
    """What an incident is about: its services with the words of their names, and the words of its alerts."""

    incident: Incident
    services: tuple[tuple[str, frozenset[str]], ...]
    words: frozenset[str]


def tickets_of(conn: Connection, incident_id: str, *, limit: int = 10) -> Suggested:
    """Return the open tickets an incident may explain, but those somebody has decided on. Raises NotFound."""
    incident = incidents.get(conn, incident_id)
    story, decided = _story(conn, incident), {row.ticket for row in _of_incident(conn, incident.number)}
    first, last = _window(story.incident)
    query = (
        select(tickets.c.id, tickets.c.subject, tickets.c.body, tickets.c.created_ms)
        .where(tickets.c.created_ms.between(first, last), tickets.c.status.not_in(("resolved", "closed")))
        .order_by(tickets.c.created_ms.desc())
        .limit(MOST)
    )
    said = [_said(row.id, f"{row.subject}\n{row.body}", row.created_ms) for row in conn.execute(query)]
    return _best((weigh(one, story) for one in said if one.id not in decided), limit)


def incidents_of(conn: Connection, ticket_id: str, *, limit: int = 5) -> Suggested:
    """Return the incidents a ticket may be about, resolved ones too: its cause may be over. Raises NotFound.

    Those somebody has decided on are left out.
    """
    ticket = desk.get(conn, ticket_id)
    decided = {row.incident for row in _of_ticket(conn, ticket.number)}
    said = _said(ticket.number, f"{ticket.subject}\n{ticket.body}", ticket.created_ms)
    table = incident_rows
    query = (
        select(table.c.id)
        .where(table.c.opened_ms <= said.created_ms + BEFORE_MS, table.c.last_event_ms >= said.created_ms - AFTER_MS)
        .where(table.c.state != "merged")
        .order_by(table.c.last_event_ms.desc())
        .limit(MOST_INCIDENTS)
    )
    near = incidents.by_number(conn, conn.execute(query).scalars().all())
    return _best((weigh(said, _story(conn, one)) for one in near if one.id not in decided), limit)


def weigh(said: _Said, story: _Story) -> Suggestion | None:
    """Return how well ticket and incident fit, with the evidence; None below the bar."""
    named = [service for service, words in story.services if words and words <= said.words]
    taken = frozenset(word for _, words in story.services for word in words)
    shared = sorted((story.words & said.words) - taken)
    strength = min(len(named), 1) * _NAMED
    strength += _NAMED_MORE * min(max(len(named) - 1, 0), _MOST_NAMED - 1)
    strength += _WORD * min(len(shared), _MOST_WORDS)
    score = round(strength * _timeliness(said.created_ms, story.incident), 3)
    if score < ENOUGH:
        return None
    why = [Evidence(kind="names_service", terms=tuple(named))] if named else []
    why += [Evidence(kind="shares_words", terms=tuple(shared[:_MOST_WORDS]))] if shared else []
    why.append(Evidence(kind="in_time", seconds=(said.created_ms - story.incident.opened_ms) // 1000))
    return Suggestion(ticket=said.id, incident=story.incident.id, score=score, why=tuple(why))


def _timeliness(created_ms: int, incident: Incident) -> float:
    """Return 1 while alerts came in, falling to 0 at the ends of the window."""
    if created_ms < incident.opened_ms:
        return max(0.0, 1 - (incident.opened_ms - created_ms) / BEFORE_MS)
    return min(1.0, max(0.0, 1 - (created_ms - incident.last_event_ms) / AFTER_MS))


def _window(incident: Incident) -> tuple[int, int]:
    return incident.opened_ms - BEFORE_MS, incident.last_event_ms + AFTER_MS


def _best(weighed: Iterable[Suggestion | None], limit: int) -> Suggested:
    found = sorted((one for one in weighed if one), key=lambda one: (-one.score, one.ticket, one.incident))
    return Suggested(found[:limit], max(0, len(found) - limit))


def _said(number: int, text: str, created_ms: int) -> _Said:
    return _Said(ids.shown("T", number), created_ms, words_of(text[:_TEXT]))


def _story(conn: Connection, incident: Incident) -> _Story:
    told = timeline.members(conn, incident, limit=_CONDITIONS).members
    names = tuple((service, words_of(service) - _COMMON) for service in incident.services)
    said = " ".join([incident.title, *(f"{one.alertname} {one.summary}" for one in told)])
    telling = frozenset(word for word in words_of(said) - _COMMON if len(word) > 2)
    return _Story(incident, names, telling)


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text, two letters or more, lower case, without accents and plural s.

    `CardPayments` is two words.
    """
    spaced = _CAMEL.sub(" ", text)
    plain = "".join(c for c in unicodedata.normalize("NFKD", spaced) if not unicodedata.combining(c))
    found = (word.removesuffix("s") for word in _WORDS.findall(plain.lower()))
    return frozenset(word for word in found if len(word) > 1 and not word.isdigit())


# -- links -------------------------------------------------------------------------------------------------------------


class _Word(NamedTuple):
    """What somebody said of a ticket and an incident, both named as they are now."""

    ticket: str
    incident: str
    state: str
    by: str
    at_ms: int


def is_person(by: str) -> bool:
    """Whether a principal is a person: signed in at the console, or at the command line."""
    return by.startswith(("person:", "operator:"))


def links_of_incident(conn: Connection, incident_id: str) -> list[Link]:
    """Return what is linked to an incident and to all that was merged into it, oldest first. Raises NotFound."""
    return _linked(_of_incident(conn, incidents.get(conn, incident_id).number), lambda row: row.ticket)


def links_of_ticket(conn: Connection, ticket_id: str) -> list[Link]:
    """Return the incidents linked to a ticket and to all that was merged into it, oldest first. Raises NotFound."""
    return _linked(_of_ticket(conn, desk.get(conn, ticket_id).number), lambda row: row.incident)


def confirm(conn: Connection, incident_id: str, ticket_id: str, *, by: str, now: int) -> bool:
    """Link a ticket to an incident; False when that changes nothing. A person's word also confirms an agent's link.

    Of what was merged away, the survivor is linked. Raises NotFound, and IllegalMove when an agent links what a
    person has turned down.
    """
    pair = _pair(conn, incident_id, ticket_id)
    said = pair.said
    if not is_person(by) and any(row.state == "rejected" and is_person(row.by) for row in said):
        raise IllegalMove(
            f"A person said that {pair.incident} does not explain {pair.ticket}. Ask them before linking."
        )
    is_linked = any(row.state == "linked" and (is_person(row.by) or not is_person(by)) for row in said)
    if is_linked:
        return False
    _say(conn, pair, "linked", by=by, now=now)
    return True


def reject(conn: Connection, incident_id: str, ticket_id: str, *, by: str, now: int) -> bool:
    """Say that an incident does not explain a ticket: a link ends, and the suggestion does not come back.

    False when that was said before. Raises NotFound, and NotAllowed for anyone but a person.
    """
    if not is_person(by):
        raise NotAllowed("Only a person turns a suggestion down. Leave it, or write a note.")
    pair = _pair(conn, incident_id, ticket_id)
    if pair.said and all(row.state == "rejected" for row in pair.said):
        return False
    _say(conn, pair, "rejected", by=by, now=now)
    return True


def unlink(conn: Connection, incident_id: str, ticket_id: str, *, by: str, now: int) -> bool:
    """Take a link back, so that it may be suggested again; False when there was none.

    Raises NotFound, and NotAllowed when an agent unlinks what a person confirmed.
    """
    pair = _pair(conn, incident_id, ticket_id)
    linked = [row for row in pair.said if row.state == "linked"]
    if not is_person(by) and any(is_person(row.by) for row in linked):
        raise NotAllowed(f"A person linked {pair.ticket} to {pair.incident}. Ask them to take it back.")
    if linked:
        _say(conn, pair, None, by=by, now=now)
    return bool(linked)


class _Pair(NamedTuple):
    """An incident and a ticket as they stand after merges, what was merged into them, and what was said of these."""

    incident: str
    ticket: str
    incidents: frozenset[int]
    tickets: frozenset[int]
    said: list[_Word]


def _pair(conn: Connection, incident_id: str, ticket_id: str) -> _Pair:
    incident, ticket = incidents.get(conn, incident_id).number, desk.get(conn, ticket_id).number
    incident = merges.ends(conn, incident_rows, [incident])[incident]
    ticket = merges.ends(conn, tickets, [ticket])[ticket]
    name = ids.shown("T", ticket)
    return _Pair(
        ids.shown("INC", incident),
        name,
        frozenset(merges.family(conn, incident_rows, incident)),
        frozenset(merges.family(conn, tickets, ticket)),
        [row for row in _of_incident(conn, incident) if row.ticket == name],
    )


def _say(conn: Connection, pair: _Pair, state: Literal["linked", "rejected"] | None, *, by: str, now: int) -> None:
    """Replace what was said of a pair; None leaves it open."""
    table = incident_tickets
    conn.execute(delete(table).where(table.c.incident_id.in_(pair.incidents), table.c.ticket_id.in_(pair.tickets)))
    if state is not None:
        numbers = {"incident_id": ids.number("INC", pair.incident), "ticket_id": ids.number("T", pair.ticket)}
        conn.execute(insert(table).values(**numbers, state=state, by=by, at_ms=now))
    done = {"linked": "linked", "rejected": "link_rejected", None: "unlinked"}[state]
    audit.record(conn, by, f"incident.ticket_{done}", pair.incident, now=now, detail={"ticket": pair.ticket})
    audit.record(conn, by, f"ticket.incident_{done}", pair.ticket, now=now, detail={"incident": pair.incident})


def _of_incident(conn: Connection, number: int) -> list[_Word]:
    mine = incident_tickets.c.incident_id.in_(merges.family(conn, incident_rows, number))
    return _words(conn, mine)


def _of_ticket(conn: Connection, number: int) -> list[_Word]:
    return _words(conn, incident_tickets.c.ticket_id.in_(merges.family(conn, tickets, number)))


def _words(conn: Connection, mine: ColumnElement[bool]) -> list[_Word]:
    """Return what was said, oldest first, with both ends as they are after merges."""
    table = incident_tickets
    rows = conn.execute(select(table).where(mine).order_by(table.c.at_ms, table.c.incident_id, table.c.ticket_id)).all()
    stands = merges.ends(conn, incident_rows, {row.incident_id for row in rows})
    answers = merges.ends(conn, tickets, {row.ticket_id for row in rows})
    return [
        _Word(
            ids.shown("T", answers[row.ticket_id]),
            ids.shown("INC", stands[row.incident_id]),
            row.state,
            row.by,
            row.at_ms,
        )
        for row in rows
    ]


def _linked(said: Iterable[_Word], other: Callable[[_Word], str]) -> list[Link]:
    """Return one link for each `other` end: a person's before an agent's, else the first."""
    found: dict[str, Link] = {}
    for row in said:
        known = found.get(other(row))
        if row.state == "linked" and (known is None or (is_person(row.by) and not known.is_confirmed)):
            found[other(row)] = Link(ticket=row.ticket, incident=row.incident, by=row.by, at_ms=row.at_ms)
    return list(found.values())


# What monitors say of everything, and so of nothing.
_COMMON = words_of(
    """
    about after alert and are been before being burn but call can cannot cluster count critical day down error event
    fail failed failing failure firing for from have high host hour info instance into last latency les limit long
    low machine metric minute missing more most much new node none not now number old one out over own per pod prod
    production rate ratio request resolved restart restarting second server service since slow some statu still svc
    system than that the their then there thi time timeout too two unavailable under unit until usage use used value
    very wait waiting warning went were when which while will with without work you your
    """
)
