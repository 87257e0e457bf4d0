"""Rows that were merged into others of their table: where each ended, and what ended in one.

Both walks stop at a row seen before, so that a damaged file whose merges run in a ring ends them too.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, Table, select


def ends(conn: Connection, table: Table, numbers: Iterable[int]) -> dict[int, int]:
    """Return for each number the row that stands for it now: itself, or the end of its merges."""
    starts = set(numbers)
    into: dict[int, int] = {}
    ahead, seen = set(starts), set[int]()
    while ahead:
        seen |= ahead
        rows = conn.execute(select(table.c.id, table.c.merged_into).where(table.c.id.in_(ahead)))
        into |= {row.id: row.merged_into for row in rows if row.merged_into is not None}
        ahead = set(into.values()) - seen
    return {number: _end(number, into) for number in starts}


def _end(number: int, into: dict[int, int]) -> int:
    passed = {number}
    while number in into and into[number] not in passed:
        number = into[number]
        passed.add(number)
    return number


def family(conn: Connection, table: Table, number: int) -> set[int]:
    """Return `number` and every row that was merged into it, directly or by way of others."""
    found = {number}
    ahead = set(found)
    while ahead:
        rows = conn.execute(select(table.c.id).where(table.c.merged_into.in_(ahead))).scalars()
        ahead = set(rows) - found
        found |= ahead
    return found
