"""The queue: open tickets, most at risk first, page by page, and those nobody has triaged."""

from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select

from opspilot_mcp.desk import tickets
from opspilot_mcp.desk.tickets import Priority, Status, Ticket, Tier
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.store import ids
from opspilot_mcp.store.schema import tickets as rows

COUNT_UP_TO = 1000


class QueueFilter(BaseModel):
    """Which open tickets to list; None means any."""

    model_config = ConfigDict(frozen=True)

    status: Status | None = None
    priority: Priority | None = None
    category: str | None = None
    tier: Tier | None = None
    assignee: str | None = None
    untriaged: bool | None = None


class Page(NamedTuple):
    """One page of the queue: its tickets (without tags), where to go on, and how many match (None: over 1,000)."""

    tickets: list[Ticket]
    next_cursor: str | None
    matching: int | None


def page(conn: Connection, wanted: QueueFilter, *, cursor: str | None = None, limit: int = 20) -> Page:
    """Return open tickets, the one whose next promise falls due first on top, paused ones last.

    Raises InvalidInput for a cursor this function did not make.
    """
    values = wanted.model_dump(exclude_none=True)
    wanted_page, count = _statements(tuple(values), values.get("untriaged"), cursor is not None)
    key, after = _parse_cursor(cursor) if cursor is not None else (0, 0)
    values |= {"most": limit + 1, "key": key, "after": after, "count_up_to": COUNT_UP_TO + 1}
    found = conn.execute(wanted_page, values).all()
    matching: int = conn.execute(count, values).scalar_one()
    last = found[limit - 1]._mapping if len(found) > limit else None
    return Page(
        [tickets.record(row) for row in found[:limit]],
        f"{last['queue_key']}.{last['id']}" if last else None,
        matching if matching <= COUNT_UP_TO else None,
    )


@lru_cache(maxsize=128)
def _statements(names: tuple[str, ...], untriaged: bool | None, has_cursor: bool) -> tuple[Select[Any], Select[int]]:
    """Return the statements for a page and for its capped count. Building them costs more than running them."""
    inside: list[ColumnElement[bool]] = [rows.c.queue_key.is_not(None)]
    inside += [rows.c[name] == bindparam(name) for name in names if name != "untriaged"]
    if untriaged is not None:
        inside.append(rows.c.triaged_ms.is_(None) if untriaged else rows.c.triaged_ms.is_not(None))
    page = tickets.COLUMNS.where(*inside).order_by(rows.c.queue_key, rows.c.id).limit(bindparam("most"))
    if has_cursor:
        beyond = (rows.c.queue_key == bindparam("key")) & (rows.c.id > bindparam("after"))
        page = page.where((rows.c.queue_key > bindparam("key")) | beyond)
    capped = select(rows.c.id).where(*inside).limit(bindparam("count_up_to")).subquery()
    return page, select(func.count()).select_from(capped)


_CURSOR_DIGITS = 18  # more would not fit the 64 bits of a column


def _parse_cursor(cursor: str) -> tuple[int, int]:
    key, _, number = cursor.partition(".")
    if not all(part.isascii() and part.isdigit() and len(part) <= _CURSOR_DIGITS for part in (key, number)):
        raise InvalidInput("The cursor is not one of ours. Pass next_cursor of the page before, or leave it out.")
    return int(key), int(number)


def untriaged(conn: Connection, *, limit: int) -> list[str]:
    """Return the ids of open tickets nobody has triaged, oldest first."""
    found = conn.execute(
        select(rows.c.id)
        .where(rows.c.triaged_ms.is_(None), rows.c.queue_key.is_not(None))
        .order_by(rows.c.id)
        .limit(limit)
    ).scalars()
    return [ids.shown("T", number) for number in found]
