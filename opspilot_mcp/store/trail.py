"""Checks a record in a database file as one would a stranger's file: bounded, a batch at a time, whatever it holds.

Both databases keep their record in a table `audit` of one shape. Rows only ever follow, so that batches need no common
snapshot, and a check of a long record never holds writers up.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from opspilot_mcp.errors import StoreUnusable
from opspilot_mcp.store import guards, sqlite
from opspilot_mcp.store.chain import Fault, Walk
from opspilot_mcp.store.migrate import Lineage

_BATCH = 1_000
_LIMIT_BYTES = 1_000_000
_FIRST = "SELECT * FROM audit ORDER BY seq LIMIT ?"
_NEXT = "SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?"


@dataclass(frozen=True)
class Verdict:
    """What a check of a whole record found.

    `checkpointed` is the newest row that is known outside the file too. `first_bad` is a row's number; None when all
    is well. `head` is the last good row's number and hash.
    """

    rows: int
    checkpointed: int
    first_bad: int | None
    why: str
    head: tuple[int, str]


def verify(
    path: Path,
    walk: Walk,
    lineage: Lineage,
    *,
    guarded: tuple[str, ...] = ("audit",),
    each: Callable[[Mapping[str, object]], None] | None = None,
) -> Verdict:
    """Walk along every row and look for the triggers that guard these tables; reads only. `each` is given good rows.

    Raises StoreUnusable when there is no such file, it cannot be opened or has another schema; StoreBusy when it stays
    locked.
    """
    with closing(_connect(path)) as raw:
        _require(raw, path, lineage)
        fault = _walked(raw, walk, path, each) or _unguarded(raw, walk, guarded)
    why = fault.why if fault else "every row is as it was written"
    return Verdict(walk.rows, max(walk.held, default=0), fault.seq if fault else None, why, walk.head)


def _connect(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise StoreUnusable(f"There is no {path.name}. Check OPSPILOT_HOME, or restore a backup.")
    raw = sqlite.connect(path, readonly=True)
    raw.execute("PRAGMA cell_size_check = ON")
    raw.text_factory = sqlite.text_or_bytes
    raw.row_factory = sqlite3.Row
    raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LIMIT_BYTES)
    return raw


def _require(raw: sqlite3.Connection, path: Path, lineage: Lineage) -> None:
    try:
        found = sqlite.revision(raw)
    except sqlite3.Error as error:
        raise sqlite.meaning(error, path) from error
    if found != lineage.head:
        raise StoreUnusable(
            f"{path.name} has schema {found!s:.20}, this program checks {lineage.head}. Start the newest opspilot-mcp "
            "once, which brings it up to date."
        )


def _walked(
    raw: sqlite3.Connection, walk: Walk, path: Path, each: Callable[[Mapping[str, object]], None] | None
) -> Fault | None:
    try:
        for row in _rows(raw):
            if not walk.take(row):
                return walk.fault
            if each is not None:
                each(row)
    except sqlite3.Error as error:
        if sqlite.is_locked(error):
            raise sqlite.meaning(error, path) from error
        seq = walk.head[0] + 1
        return Fault(seq, f"row {seq} cannot be read ({getattr(error, 'sqlite_errorname', 'damaged')})")
    return walk.end()


def _rows(raw: sqlite3.Connection) -> Iterator[Mapping[str, object]]:
    after: object = None
    while batch := _batch(raw, after):
        for row in batch:
            yield dict(row)
        after = batch[-1]["seq"]


def _batch(raw: sqlite3.Connection, after: object) -> list[sqlite3.Row]:
    """Return the rows past `after`; where one of them cannot be read, the first alone. Raises when it is that one."""
    for limit in (_BATCH, 1):
        sqlite.bound_reads(raw)
        try:
            query = (_FIRST, (limit,)) if after is None else (_NEXT, (after, limit))
            return raw.execute(*query).fetchall()
        except sqlite3.Error as error:
            if limit == 1 or sqlite.is_locked(error):
                raise
    return []


def _unguarded(raw: sqlite3.Connection, walk: Walk, guarded: tuple[str, ...]) -> Fault | None:
    gone = next((why for table in guarded if (why := guards.fault(raw, table))), "")
    return Fault(walk.head[0] + 1, gone) if gone else None
