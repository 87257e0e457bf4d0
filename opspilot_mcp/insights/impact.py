"""Which open tickets does an incident explain, and which incidents could a ticket be about? A suggestion, never a link.

Evidence is words and time: a ticket that names a service in which alerts fire, or uses the words the alerts use, and
that came while they fired or soon after. Time alone is no evidence: on a busy desk every incident has tickets beside
it. Nothing is stored here; a person or agent who agrees writes it down as a note.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, select

from opspilot_mcp.aiops import incidents, timeline
from opspilot_mcp.aiops.incidents import Incident
from opspilot_mcp.clock import HOUR_MS, MINUTE_MS
from opspilot_mcp.desk import tickets as desk
from opspilot_mcp.store import ids
from opspilot_mcp.store.schema import incidents as incident_rows
from opspilot_mcp.store.schema import tickets

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
    """Return the open tickets an incident may explain. Raises NotFound."""
    story = _story(conn, incidents.get(conn, incident_id))
    first, last = _window(story.incident)
    query = (
        select(tickets.c.id, tickets.c.subject, tickets.c.body, tickets.c.created_ms)
        .where(tickets.c.created_ms.between(first, last), tickets.c.status.not_in(("resolved", "closed")))
        .order_by(tickets.c.created_ms.desc())
        .limit(MOST)
    )
    said = [_said(row.id, f"{row.subject}\n{row.body}", row.created_ms) for row in conn.execute(query)]
    return _best((weigh(one, story) for one in said), limit)


def incidents_of(conn: Connection, ticket_id: str, *, limit: int = 5) -> Suggested:
    """Return the incidents a ticket may be about, resolved ones too: its cause may be over. Raises NotFound."""
    ticket = desk.get(conn, ticket_id)
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
    return _best((weigh(said, _story(conn, one)) for one in near), limit)


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
