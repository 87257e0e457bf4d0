"""What is SQLite's alone: how a file is opened, which journal it may use, and what its errors mean."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import aiosqlite
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from opspilot_mcp.errors import OpsPilotError, StoreBusy, StoreUnusable
from opspilot_mcp.store.files import private_file

BUSY_MS = 10_000
READ_LIMIT_S = 5.0

T = TypeVar("T")
_STEPS_BETWEEN_LOOKS = 20_000


class ThreadConnection(aiosqlite.Connection):
    """aiosqlite's thread and connection, given whole pieces of work instead of single statements."""

    stopped: "asyncio.Future[None] | None" = None

    def stop(self) -> "asyncio.Future[None] | None":
        """End the thread; keeps what tells when it has ended, which aiosqlite drops when a connection fails."""
        self.stopped = super().stop()
        return self.stopped

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work()` in the connection's thread. It runs to its end even when the caller is cancelled."""
        done: T = await self._execute(work)  # type: ignore[no-untyped-call]
        return done


def has_wal_reset_fix(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Whether this SQLite is free of the WAL-reset corruption (3.51.3, or the fixes carried back to 3.50 and 3.44).

    Source: SQLite release notes 3.51.3, 3.50.7, 3.44.6. SQLite before 3.7.0 has no WAL at all.
    """
    fixed = {(3, 44): 6, (3, 50): 7, (3, 51): 3}
    branch, patch = version[:2], version[2]
    return branch > (3, 51) or (branch in fixed and patch >= fixed[branch])


def wanted_journal() -> str:
    """Return the journal mode this build may use: `wal`, or `truncate` where WAL could corrupt the file."""
    return "wal" if has_wal_reset_fix() else "truncate"


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """Open a database file with the house's settings. Raises StoreUnusable with the next step."""
    try:
        raw = sqlite3.connect(private_file(path), timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
        _set_up(raw, readonly=readonly)
    except sqlite3.Error as error:
        raise meaning(error, path) from error
    return raw


def _set_up(raw: sqlite3.Connection, *, readonly: bool) -> None:
    raw.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    mode = raw.execute("PRAGMA journal_mode").fetchone()[0]
    if mode != wanted_journal():
        # `truncate` is per connection; leaving WAL needs the file alone, and fails as busy while others use it.
        raw.execute(f"PRAGMA journal_mode = {wanted_journal()}")
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute("PRAGMA foreign_keys = ON")
    # Without it INSERT OR REPLACE passes the append-only triggers.
    raw.execute("PRAGMA recursive_triggers = ON")
    raw.execute("PRAGMA trusted_schema = OFF")
    if readonly:
        raw.execute("PRAGMA query_only = ON")


def engine_over(raw: sqlite3.Connection, *, begin: str) -> Engine:
    """Return a SQLAlchemy engine whose only connection is `raw`, its transactions opened by the statement `begin`."""
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        conn.exec_driver_sql(begin)

    return engine


def revision(raw: sqlite3.Connection) -> str | None:
    """Return the schema revision, or None in a database without one."""
    try:
        row = raw.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise
    return row[0] if row else None


def bound_reads(raw: sqlite3.Connection) -> None:
    """End any statement that runs past READ_LIMIT_S from now: a long read blocks writers under a rollback journal."""
    deadline = time.monotonic() + READ_LIMIT_S
    raw.set_progress_handler(lambda: int(time.monotonic() > deadline), _STEPS_BETWEEN_LOOKS)


def is_busy(error: DBAPIError) -> bool:
    """Whether another process held the lock: nothing was changed, and another try may succeed."""
    return is_locked(error.orig)


def is_locked(error: BaseException | None) -> bool:
    """`is_busy` for the driver's own error."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def text_or_bytes(data: bytes) -> str | bytes:
    """Return a text value as a connection's `text_factory`; one that is not UTF-8 stays bytes."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def meaning(error: BaseException, path: Path) -> OpsPilotError:
    """Return the house error for a SQLite failure, with the next step; statements and parameters never show."""
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if is_locked(error):
        return StoreBusy("The database is locked by another process. Nothing was changed; try again in a few seconds.")
    if code == sqlite3.SQLITE_INTERRUPT:
        return StoreBusy(
            f"The read took over {READ_LIMIT_S:.0f} s and was ended. Ask for less: a filter, a smaller limit."
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreUnusable("The disk is full. Nothing was changed; free some space and try again.")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreUnusable(
            f"{path.name} is damaged ({name}). Stop every opspilot-mcp and restore a backup: "
            "opspilot-mcp restore FOLDER --replace"
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StoreUnusable(f"{path.name} cannot be written ({name}). Check the owner and mode of OPSPILOT_HOME.")
    if name == "SQLITE_IOERR_DELETE":
        # In a sticky home only the gate's user may remove a journal that the gate left behind.
        return StoreUnusable(
            f"The gate stopped in the middle of a write to {path.name}; only its user can put that right. Start the "
            "gate: it does so by itself."
        )
    return StoreUnusable(f"The database refused the change ({name}). Run `opspilot-mcp doctor`.")
