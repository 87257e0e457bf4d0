"""Tables that only grow: the database itself refuses to change or delete their rows."""

from sqlalchemy import Connection


def append_only(conn: Connection, table: str) -> None:
    """Refuse UPDATE and DELETE on `table` from now on. `table` is a name of ours, never a stranger's."""
    for event in ("UPDATE", "DELETE"):
        conn.exec_driver_sql(
            f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
