"""Many rows through one prebuilt statement, for the few hot paths where SQLAlchemy's work per row is what costs.

Compiled once a dialect; values go to the driver as they are, so use it only for text, numbers and None.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Delete, Insert, Table, Update
from sqlalchemy.dialects import sqlite


def upsert(table: Table) -> Insert:
    """Return an INSERT that overwrites the row of the same primary key; PostgreSQL spells it as SQLite does."""
    new = sqlite.insert(table)
    values = {column.name: new.excluded[column.name] for column in table.c if not column.primary_key}
    return new.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)


class _Compiled(NamedTuple):
    """The statement as one driver takes it. `order` makes a row positional; None where the driver takes names."""

    sql: str
    order: Callable[[Mapping[str, Any]], tuple[Any, ...]] | None


class Bulk:
    """One INSERT, UPDATE or DELETE of two parameters or more, all named: VALUES columns and `bindparam`s."""

    def __init__(self, statement: Insert | Update | Delete, *columns: str) -> None:
        self._statement = statement
        self._columns = list(columns) or None
        self._compiled: dict[str, _Compiled] = {}

    def run(self, conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute once for each row, in order."""
        if not rows:
            return
        sql, order = self._for(conn)
        conn.exec_driver_sql(sql, list(rows) if order is None else [order(row) for row in rows])

    def _for(self, conn: Connection) -> _Compiled:
        found = self._compiled.get(conn.dialect.name)
        if found is None:
            compiled = self._statement.compile(dialect=conn.dialect, column_keys=self._columns)
            names = compiled.positiontup
            found = _Compiled(str(compiled), itemgetter(*names) if names else None)
            self._compiled[conn.dialect.name] = found
        return found
