"""Tables that only grow: the database itself refuses to change or delete their rows."""

import sqlite3

from sqlalchemy import Connection

from opspilot_mcp.errors import quoted


def append_only(conn: Connection, table: str) -> None:
    """Refuse UPDATE and DELETE on `table` from now on. `table` is a name of ours, never a stranger's."""
    for statement in _append_only(table).values():
        conn.exec_driver_sql(statement)


def _append_only(table: str) -> dict[str, str]:
    """Return the triggers of an append-only table, by name."""
    return {
        f"{table}_no_{event.lower()}": f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for event in ("UPDATE", "DELETE")
    }


def fault(raw: sqlite3.Connection, table: str) -> str:
    """Return what is wrong with the triggers of an append-only table, "" when it has exactly its own."""
    wanted = _append_only(table)
    found = dict(
        raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table,)).fetchall()
    )
    for name in sorted({*wanted, *map(str, found)}):
        if name not in found:
            return f"the guard {name} was removed"
        if found[name] != wanted.get(name):
            return f"the trigger {quoted(name)} is not ours"
    return ""


def frozen_columns(conn: Connection, table: str, columns: tuple[str, ...]) -> None:
    """Refuse a change of these columns, and DELETE, on `table` from now on. All names are ours, never a stranger's."""
    conn.exec_driver_sql(
        f"CREATE TRIGGER {table}_frozen BEFORE UPDATE OF {', '.join(columns)} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, 'a snapshot in {table} does not change'); END"
    )
    conn.exec_driver_sql(
        f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, 'rows of {table} stay'); END"
    )
