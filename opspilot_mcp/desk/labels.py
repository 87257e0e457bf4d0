"""Whether a person has said what a ticket is about, and whether they may see what triage thinks before they do.

What a certificate rests on is judged blind: a person who sees the suggestion first tends to agree with it. That is
every ticket that was not routed by itself, but those that a stated fact sent to a person: they stand in no sample.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from sqlalchemy import Connection, bindparam, select

from opspilot_mcp.store.schema import reviews, triages

State = Literal["untriaged", "blind", "open", "given"]


class Label(NamedTuple):
    """Where a ticket's label stands. `category` and what follows are the person's, once they have spoken."""

    state: State
    category: str | None = None
    by: str | None = None
    at_ms: int | None = None


_TRIAGED = (
    select(triages.c.ticket_id, triages.c.decision, triages.c.forced)
    .where(triages.c.ticket_id.in_(bindparam("numbers", expanding=True)))
    .order_by(triages.c.id)
)
_GIVEN = select(reviews).where(reviews.c.ticket_id.in_(bindparam("numbers", expanding=True)))


def of_many(conn: Connection, numbers: Iterable[int]) -> dict[int, Label]:
    """Return where the label of each ticket stands, by number."""
    wanted = {"numbers": list(numbers)}
    found = {number: Label("untriaged") for number in wanted["numbers"]}
    for row in conn.execute(_TRIAGED, wanted):  # the newest triage of a ticket comes last
        found[row.ticket_id] = Label("open" if row.decision == "auto" or row.forced else "blind")
    for row in conn.execute(_GIVEN, wanted):
        found[row.ticket_id] = Label("given", row.category, row.by, row.at_ms)
    return found


def of(conn: Connection, number: int) -> Label:
    """Return where the label of one ticket stands."""
    return of_many(conn, [number])[number]


def blind_among(conn: Connection, numbers: Iterable[int]) -> frozenset[int]:
    """Return the tickets whose category a person must say before they are shown triage's."""
    return frozenset(number for number, label in of_many(conn, numbers).items() if label.state == "blind")
