"""What keeps coming back: tags and categories of this period against the period before, with the tickets.

Counted by SQL, so the same desk gives the same answer twice. A merged duplicate is not counted: the ticket it was
merged into stands for it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Connection, FromClause, bindparam, case, func, literal_column, select

from opspilot_mcp.clock import DAY_MS
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.insights.volume import shown
from opspilot_mcp.store import ids
from opspilot_mcp.store.schema import ticket_tags, tickets

RECURS = 2
NEWEST = 10
_MAX_LIMIT = 100
_MAX_DAYS = 3650

_IS_THIS = tickets.c.created_ms > bindparam("middle")
_IS_COUNTED = (
    tickets.c.created_ms > bindparam("start"),
    tickets.c.created_ms <= bindparam("now"),
    tickets.c.merged_into.is_(None),
)
_TAGGED = tickets.join(ticket_tags, ticket_tags.c.ticket_id == tickets.c.id)
_TICKETS = select(
    func.coalesce(func.sum(case((_IS_THIS, 1), else_=0)), 0).label("this"),
    func.coalesce(func.sum(case((_IS_THIS, 0), else_=1)), 0).label("last"),
).where(*_IS_COUNTED)

Kind = Literal["tag", "category"]
_SOURCES: dict[Kind, tuple[ColumnElement[str], FromClause]] = {
    "tag": (ticket_tags.c.tag, _TAGGED),
    "category": (tickets.c.category, tickets),
}


class Blocker(BaseModel):
    """One tag or category that recurs; `tickets` holds the newest ids of this period, `left_out` how many more."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    name: str
    count: int
    previous: int
    change: int
    tickets: tuple[str, ...]
    left_out: int


class Trends(BaseModel):
    """Blockers most frequent first; `more_*` counts those that recur too and did not fit."""

    model_config = ConfigDict(frozen=True)

    since_ms: int
    until_ms: int
    previous_since_ms: int
    total: int
    previous_total: int
    tags: tuple[Blocker, ...]
    more_tags: int
    categories: tuple[Blocker, ...]
    more_categories: int


def trends(conn: Connection, now: int, days: int = 7, limit: int = 10) -> Trends:
    """Return what recurs: at least 2 tickets made in the last `days`, beside the `days` before those.

    `limit` holds for tags and for categories each. Raises InvalidInput when a number makes no sense.
    """
    _check(days, limit)
    middle, start = now - days * DAY_MS, now - 2 * days * DAY_MS
    period = {"start": start, "middle": middle, "now": now}
    tags, more_tags = _recurring(conn, "tag", period, limit)
    categories, more_categories = _recurring(conn, "category", period, limit)
    totals = conn.execute(_TICKETS, period).one()
    return Trends(
        since_ms=middle,
        until_ms=now,
        previous_since_ms=start,
        total=totals.this,
        previous_total=totals.last,
        tags=tags,
        more_tags=more_tags,
        categories=categories,
        more_categories=more_categories,
    )


def _check(days: int, limit: int) -> None:
    if not 1 <= days <= _MAX_DAYS:
        raise InvalidInput(f"days is {days}. Use 1 to {_MAX_DAYS}.")
    if not 1 <= limit <= _MAX_LIMIT:
        raise InvalidInput(f"limit is {limit}. Use 1 to {_MAX_LIMIT}.")


def _recurring(conn: Connection, kind: Kind, period: dict[str, int], limit: int) -> tuple[tuple[Blocker, ...], int]:
    name, source = _SOURCES[kind]
    this, last = func.sum(case((_IS_THIS, 1), else_=0)), func.sum(case((_IS_THIS, 0), else_=1))
    rows = conn.execute(
        select(name.label("name"), this.label("this"), last.label("last"), func.count().over().label("found"))
        .select_from(source)
        .where(*_IS_COUNTED, name.is_not(None))
        .group_by(name)
        .having(this >= RECURS)
        .order_by(this.desc(), last, name)
        .limit(limit),
        period,
    ).all()
    newest = _newest(conn, kind, period, [row.name for row in rows])
    found = tuple(_blocker(kind, row.name, row.this, row.last, newest[row.name]) for row in rows)
    return found, (rows[0].found - len(rows) if rows else 0)


def _newest(conn: Connection, kind: Kind, period: dict[str, int], names: list[str]) -> dict[str, list[str]]:
    name, source = _SOURCES[kind]
    place = func.row_number().over(partition_by=name, order_by=(tickets.c.created_ms.desc(), tickets.c.id.desc()))
    ranked = (
        select(name.label("name"), tickets.c.id, place.label("place"))
        .select_from(source)
        # `|| ''` keeps SQLite off the index on the name: it would walk every ticket ever made with that tag.
        .where(*_IS_COUNTED, _IS_THIS, (name + literal_column("''")).in_(names))
        .subquery()
    )
    found: dict[str, list[str]] = {name: [] for name in names}
    query = select(ranked.c.name, ranked.c.id).where(ranked.c.place <= literal_column(str(NEWEST)))
    for row in conn.execute(query.order_by(ranked.c.name, ranked.c.place), period):
        found[row.name].append(ids.shown("T", row.id))
    return found


def _blocker(kind: Kind, name: str, this: int, last: int, newest: list[str]) -> Blocker:
    return Blocker(
        kind=kind,
        name=shown(name),
        count=this,
        previous=last,
        change=this - last,
        tickets=tuple(newest),
        left_out=this - len(newest),
    )
