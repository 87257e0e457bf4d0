"""The two records of who did what, a page at a time: the gate's hash-chained one and the desk's."""

from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, select

from opspilot_mcp.gate import schema as gate_schema
from opspilot_mcp.gate.audit import DESK_NOTED
from opspilot_mcp.store import schema


class Page(NamedTuple):
    """Rows, newest first, and the row number to go on before; None at the end."""

    rows: list[dict[str, Any]]
    before: int | None


def of_gate(conn: Connection, *, before: int | None, limit: int) -> Page:
    """Return a page of the gate's record, without its notes of the desk's, one a minute."""
    table = gate_schema.audit
    return _page(conn, select(table).where(table.c.action != DESK_NOTED), table.c.seq, before, limit)


def of_desk(conn: Connection, *, before: int | None, limit: int) -> Page:
    """Return a page of the desk's record."""
    return _page(conn, select(schema.audit), schema.audit.c.seq, before, limit)


def _page(conn: Connection, query: Select[Any], seq: Any, before: int | None, limit: int) -> Page:
    if before is not None:
        query = query.where(seq < before)
    rows = conn.execute(query.order_by(seq.desc()).limit(limit + 1)).mappings().all()
    return Page([dict(row) for row in rows[:limit]], rows[limit - 1]["seq"] if len(rows) > limit else None)


BY_NAME: dict[str, Callable[..., Page]] = {"gate": of_gate, "desk": of_desk}
