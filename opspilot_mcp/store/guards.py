"""Tables that only grow: the database itself refuses to change or delete their rows."""

from sqlalchemy import Connection


def append_only(conn: Connection, table: str) -> None:
    """Refuse UPDATE and DELETE on `table` from now on. `table` is a name of ours, never a stranger's."""
    for event in ("UPDATE", "DELETE"):
        conn.exec_driver_sql(
            f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def frozen_columns(conn: Connection, table: str, columns: tuple[str, ...]) -> None:
    """Refuse a change of these columns, and DELETE, on `table` from now on. All names are ours, never a stranger's."""
    conn.exec_driver_sql(
        f"CREATE TRIGGER {table}_frozen BEFORE UPDATE OF {', '.join(columns)} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, 'a snapshot in {table} does not change'); END"
    )
    conn.exec_driver_sql(
        f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, 'rows of {table} stay'); END"
    )
