"""Tickets that say the same: full-text search, nearest tickets, and likely duplicates. Suggests, never merges.

On arrival only a near-identical text is suggested as a duplicate. Looser rules were measured and left out: of real
duplicates in other words none is found with a precision worth showing; `benchmarks/duplicates.py` has the figures.
"""

import json
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select

from opspilot_mcp.desk import learner, tickets
from opspilot_mcp.desk.tickets import Ticket
from opspilot_mcp.store import fulltext, ids
from opspilot_mcp.store.schema import duplicate_hints

NEAR = 100  # tickets one look for neighbours returns
_NEAR_BUDGET = 1_000  # rows it scores: every ticket pays for it on arrival
ALIKE = 0.7
_FEWEST_TERMS = 5  # shorter texts are alike by chance
_LOOKED_AT = 10
_READ = 8_000  # characters of a body
_MOST_SHARED = 3
_WITH_DIGIT = re.compile(r"\w*\d[\w.]*")
# What is written like a name in a machine: an error code, a class, a path, a host.
# From word starts only and bounded: a text of one endless word must not be walked from each of its letters.
_NAME = re.compile(
    r"(?<!\w)(?:\w{1,40}(?:[./:#-]\w{1,40}){1,8}|[a-z]{1,40}[A-Z]\w{1,40}|[A-Z][a-z0-9]{1,40}[A-Z]\w{1,40}"
    r"|[A-Z]{2,20}_?\d{1,20}|[A-Z]{1,20}_[A-Z_]{1,40})"
)

# The constant of reciprocal rank fusion. Source: Cormack, Clarke, Buettcher 2009, SIGIR, 758-759.
_RRF_K = 60


def search(
    conn: Connection, words: str, *, limit: int, statuses: Sequence[str] = (), exclude: int | None = None
) -> list[Ticket]:
    """Return tickets nearest to `words`, best first: a query over everything, fused with one over its first line."""
    first_line = words.strip().split("\n", 1)[0]
    depth = max(50, 3 * limit)
    fused: dict[int, float] = {}
    for query in dict.fromkeys((words, first_line)):
        for rank, (number, _) in enumerate(fulltext.nearest(conn, query, limit=depth), 1):
            fused[number] = fused.get(number, 0.0) + 1 / (_RRF_K + rank)
    found: list[Ticket] = []
    for number in sorted(fused, key=lambda one: (-fused[one], one)):
        if len(found) == limit:
            break
        ticket = tickets.get(conn, ids.shown("T", number))
        if number != exclude and (not statuses or ticket.status in statuses):
            found.append(ticket)
    return found


def to_ticket(conn: Connection, ticket: Ticket, *, limit: int = 3) -> list[Ticket]:
    """Return the tickets nearest to this one, itself and what was merged into it left out."""
    found = search(conn, f"{ticket.subject}\n{ticket.body[:2000]}", limit=limit + 5, exclude=ticket.number)
    return [one for one in found if one.merged_into != ticket.number][:limit]


# -- duplicates on arrival ---------------------------------------------------------------------------------------------


class Hint(NamedTuple):
    """The ticket another one may repeat. `alike` is how much of their words is shared, 0 to 1.

    `shared` holds names both texts write, strangers' words.
    """

    other: str
    alike: float
    shared: tuple[str, ...]
    is_same_requester: bool

    def words(self) -> str:
        """Return the suggestion as one sentence; it quotes the ticket."""
        names = f", both name {', '.join(self.shared)}" if self.shared else ""
        who = "the same requester" if self.is_same_requester else "another requester, whom a merge leaves unanswered"
        return f"Possible duplicate of {self.other}: {100 * self.alike:.0f} % the same words{names}; {who}."


def near(conn: Connection, ticket: Ticket) -> list[tuple[int, float]]:
    """Return (number, closeness) of the tickets nearest to this one, itself left out, best first."""
    found = fulltext.nearest(conn, f"{ticket.subject}\n{ticket.body[:4000]}", limit=NEAR, budget=_NEAR_BUDGET)
    return [(number, rank) for number, rank in found if number != ticket.number]


def duplicate_of(conn: Connection, ticket: Ticket, found: Sequence[tuple[int, float]]) -> Hint | None:
    """Return the oldest earlier ticket with nearly the same text, among those found nearest; None where none is.

    It must still be open to a merge. Of equal texts the oldest are found first, so a flood points at its first ticket.
    """
    earlier = sorted(number for number, _ in found[:_LOOKED_AT] if number < ticket.number)
    for other in (tickets.get(conn, ids.shown("T", number)) for number in earlier):
        alike = likeness(ticket, other)
        if alike >= ALIKE and _takes_more(other):
            return _hint(ticket, other, alike)
    return None


def _takes_more(ticket: Ticket) -> bool:
    return ticket.status != "closed" and ticket.merged_into is None


def _hint(ticket: Ticket, other: Ticket, alike: float) -> Hint:
    names = set(_NAME.findall(ticket.body[:_READ])) & set(_NAME.findall(other.body[:_READ]))
    shared = tuple(sorted((name for name in names if len(name) <= 60), key=lambda name: (-len(name), name)))
    same = ticket.requester_id is not None and ticket.requester_id == other.requester_id
    return Hint(other.id, round(alike, 2), shared[:_MOST_SHARED], same)


def likeness(one: Ticket, other: Ticket) -> float:
    """Return the share of words two texts have in common (cosine of sets), 0 where their subjects differ.

    Subjects may add words, not exchange them, nor numbers: "Dockerfile for 7" and "for 8" are two matters.
    """
    heads = set(learner.terms_of(one.subject)), set(learner.terms_of(other.subject))
    if (heads[0] - heads[1] and heads[1] - heads[0]) or _numbers(one.subject) != _numbers(other.subject):
        return 0.0
    whole = [set(learner.terms_of(f"{ticket.subject}\n{ticket.body}")) for ticket in (one, other)]
    if min(map(len, whole)) < _FEWEST_TERMS:
        return 0.0
    return len(whole[0] & whole[1]) / math.sqrt(len(whole[0]) * len(whole[1]))


def _numbers(text: str) -> set[str]:
    return set(_WITH_DIGIT.findall(text.lower()))


_HINT = select(duplicate_hints).where(duplicate_hints.c.ticket_id == bindparam("number"))


def keep(conn: Connection, ticket: Ticket, hint: Hint, *, now: int) -> None:
    """Remember a suggestion made on arrival."""
    conn.execute(
        insert(duplicate_hints).values(
            ticket_id=ticket.number,
            other_id=ids.number("T", hint.other),
            alike=hint.alike,
            shared=json.dumps(hint.shared),
            same_requester=hint.is_same_requester,
            at_ms=now,
        )
    )


def hint_of(conn: Connection, number: int) -> Hint | None:
    """Return the suggestion made when a ticket arrived; None where none was."""
    row = conn.execute(_HINT, {"number": number}).first()
    if row is None:
        return None
    return Hint(ids.shown("T", row.other_id), row.alike, tuple(json.loads(row.shared)), row.same_requester)
