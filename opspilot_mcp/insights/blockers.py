"""What keeps coming back: tags and categories of this period against the period before, with the tickets.

Counted by SQL, so the same desk gives the same answer twice. A merged duplicate is not counted: the ticket it was
merged into stands for it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, bindparam, case, func, select

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
_THIS = func.coalesce(func.sum(case((_IS_THIS, 1), else_=0)), 0)
_LAST = func.coalesce(func.sum(case((_IS_THIS, 0), else_=1)), 0)
# An expression, not the column: the index on tags (below, on categories) would be walked over every ticket there ever
# was, where the one on created_ms holds the period alone.
_TAG = ticket_tags.c.tag.concat("")
_TAGGED = tickets.join(ticket_tags, ticket_tags.c.ticket_id == tickets.c.id)
_BY_TAG = (
    select(_TAG.label("name"), _THIS.label("this"), _LAST.label("last"), func.count().over().label("found"))
    .select_from(_TAGGED)
    .where(*_IS_COUNTED)
    .group_by(_TAG)
    .having(_THIS >= RECURS)
    .order_by(_THIS.desc(), _LAST, _TAG)
    .limit(bindparam("limit"))
)
# Few categories, so one pass gives both their counts and all tickets'.
_BY_CATEGORY = (
    select(tickets.c.category.label("name"), _THIS.label("this"), _LAST.label("last"))
    .where(*_IS_COUNTED)
    .group_by(tickets.c.category)
)
# Walks the index on created_ms backwards and stops at the tenth: quick for what is frequent, as blockers are.
_NEWEST = (
    select(tickets.c.id)
    .where(*_IS_COUNTED, _IS_THIS)
    .order_by(tickets.c.created_ms.desc(), tickets.c.id.desc())
    .limit(NEWEST)
)
_NEWEST_OF = {
    "tag": _NEWEST.select_from(_TAGGED).where(bindparam("name") == _TAG),
    "category": _NEWEST.where(tickets.c.category.concat("") == bindparam("name")),
}

Kind = Literal["tag", "category"]


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
    tags = conn.execute(_BY_TAG, {**period, "limit": limit}).all()
    every = conn.execute(_BY_CATEGORY, period).all()
    recurring = [row for row in every if row.name is not None and row.this >= RECURS]
    categories = sorted(recurring, key=lambda row: (-row.this, row.last, row.name))
    return Trends(
        since_ms=middle,
        until_ms=now,
        previous_since_ms=start,
        total=sum(row.this for row in every),
        previous_total=sum(row.last for row in every),
        tags=tuple(_blocker(conn, "tag", row.name, row.this, row.last, period) for row in tags),
        more_tags=tags[0].found - len(tags) if tags else 0,
        categories=tuple(
            _blocker(conn, "category", row.name, row.this, row.last, period) for row in categories[:limit]
        ),
        more_categories=len(categories[limit:]),
    )


def _check(days: int, limit: int) -> None:
    if not 1 <= days <= _MAX_DAYS:
        raise InvalidInput(f"days is {days}. Use 1 to {_MAX_DAYS}.")
    if not 1 <= limit <= _MAX_LIMIT:
        raise InvalidInput(f"limit is {limit}. Use 1 to {_MAX_LIMIT}.")


def _blocker(conn: Connection, kind: Kind, name: str, this: int, last: int, period: dict[str, int]) -> Blocker:
    newest = conn.execute(_NEWEST_OF[kind], {**period, "name": name}).scalars().all()
    return Blocker(
        kind=kind,
        name=shown(name),
        count=this,
        previous=last,
        change=this - last,
        tickets=tuple(ids.shown("T", number) for number in newest),
        left_out=this - len(newest),
    )
