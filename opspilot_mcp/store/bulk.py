"""Many rows through one prebuilt statement, for the few hot paths where SQLAlchemy's work per row is what costs.

Compiled once a dialect; values go to the driver as they are, so use it only for text, numbers and None.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Delete, Insert, Update


class Bulk:
    """One INSERT, UPDATE or DELETE whose parameters are all named: those of its VALUES columns and `bindparam`s."""

    def __init__(self, statement: Insert | Update | Delete, *columns: str) -> None:
        self._statement = statement
        self._columns = list(columns) or None
        self._compiled: dict[str, tuple[str, list[str] | None]] = {}

    def run(self, conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute once for each row, in order."""
        if not rows:
            return
        sql, order = self._for(conn)
        params = list(rows) if order is None else [tuple([row[name] for name in order]) for row in rows]
        conn.exec_driver_sql(sql, params)

    def _for(self, conn: Connection) -> tuple[str, list[str] | None]:
        found = self._compiled.get(conn.dialect.name)
        if found is None:
            compiled = self._statement.compile(dialect=conn.dialect, column_keys=self._columns)
            found = (str(compiled), compiled.positiontup)
            self._compiled[conn.dialect.name] = found
        return found
