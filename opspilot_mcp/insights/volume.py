"""How much comes in and how much lies open: counts of tickets by every column a queue is run by.

A period is `(since, until]`: a ticket made at `until` is in it. A merged duplicate is counted as `merged` and
nowhere else; the ticket it was merged into stands for it.
"""

from collections import Counter

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, bindparam, case, func, select

from opspilot_mcp.store.schema import tickets
from opspilot_mcp.text import cap, one_line

OPEN_STATUSES = ("open", "in_review", "human_review", "escalated", "pending")
NONE = "none"
_NAME_CHARS = 40
_COLUMNS = ("category", "status", "priority", "tier", "sentiment")

_IN_PERIOD = (tickets.c.created_ms > bindparam("since"), tickets.c.created_ms <= bindparam("until"))
_IS_MERGED = case((tickets.c.merged_into.is_(None), 0), else_=1).label("is_merged")
# One pass over the period: the combinations are few, Python folds them into the five tables.
_BY_ALL = (
    select(*(tickets.c[name] for name in _COLUMNS), _IS_MERGED, func.count().label("tickets"))
    .where(*_IN_PERIOD)
    .group_by(*(tickets.c[name] for name in _COLUMNS), "is_merged")
)
_IS_OPEN = (tickets.c.status.in_(OPEN_STATUSES), tickets.c.merged_into.is_(None))
_BACKLOG = select(func.count()).where(*_IS_OPEN)
_STEP = (tickets.c.created_ms - bindparam("since")) // bindparam("step")
_OVER_TIME = (
    select(_STEP.label("at"), func.count().label("tickets"))
    .where(
        tickets.c.created_ms >= bindparam("since"),
        tickets.c.created_ms < bindparam("until"),
        tickets.c.merged_into.is_(None),
    )
    .group_by(_STEP)
)
_UNTRIAGED = select(func.count()).where(tickets.c.triaged_ms.is_(None), *_IS_OPEN)


class Volume(BaseModel):
    """Tickets created in a period by value of each column, `none` where it is empty; the backlog as it is now."""

    model_config = ConfigDict(frozen=True)

    since_ms: int
    until_ms: int
    total: int
    merged: int
    by_category: dict[str, int]
    by_status: dict[str, int]
    by_priority: dict[str, int]
    by_tier: dict[str, int]
    by_sentiment: dict[str, int]
    open_backlog: int
    untriaged: int


def count(conn: Connection, since_ms: int, until_ms: int) -> Volume:
    """Return the period's counts, largest first, and the backlog: every open ticket, whenever it was made."""
    period = _period(since_ms, until_ms)
    tables: dict[str, Counter[str]] = {name: Counter() for name in _COLUMNS}
    merged = 0
    for row in conn.execute(_BY_ALL, period).mappings():
        if row["is_merged"]:
            merged += row["tickets"]
            continue
        for name in _COLUMNS:
            tables[name][shown(row[name])] += row["tickets"]
    return Volume(
        since_ms=since_ms,
        until_ms=until_ms,
        total=tables["status"].total(),
        merged=merged,
        **{f"by_{name}": _largest_first(table) for name, table in tables.items()},
        open_backlog=conn.execute(_BACKLOG).scalar_one(),
        untriaged=conn.execute(_UNTRIAGED).scalar_one(),
    )


def over_time(conn: Connection, since_ms: int, until_ms: int, *, step_ms: int) -> list[tuple[int, int]]:
    """Return (start, tickets that came) for each step of `[since, until)`, oldest first, those without one too."""
    counts = {row.at: row.tickets for row in conn.execute(_OVER_TIME, _period(since_ms, until_ms) | {"step": step_ms})}
    return [(start, counts.get(at, 0)) for at, start in enumerate(range(since_ms, until_ms, step_ms))]


def _period(since_ms: int, until_ms: int) -> dict[str, int]:
    return {"since": since_ms, "until": until_ms}


def shown(name: str | None) -> str:
    """Return a tag, category or source name fit to show: one clean line of at most 40 characters, `none` for none."""
    line, cut = cap(one_line(name or ""), _NAME_CHARS)
    return (f"{line[:-1]}…" if cut else line) or NONE


def _largest_first(table: Counter[str]) -> dict[str, int]:
    return dict(sorted(table.items(), key=lambda item: (-item[1], item[0])))
