"""The one way to the data: `read` and `write` run a whole function as one transaction in one thread hop.

A room function is synchronous and takes a SQLAlchemy connection first. It runs in aiosqlite's thread, so a slow
statement never stops the event loop, and a cancelled caller cannot leave half a transaction behind: the function
runs to its end, commits or rolls back, whatever happened to whoever asked.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from opspilot_mcp.store import inuse, migrate, sqlite
from opspilot_mcp.store.migrate import Lineage

_BUSY_TRIES = 3
_READERS = 2

P = ParamSpec("P")
T = TypeVar("T")


class _Seat:
    """One SQLite connection, its thread and the SQLAlchemy connection that sits on it."""

    def __init__(self, path: Path, *, readonly: bool) -> None:
        self.path, self.readonly = path, readonly
        self._thread = sqlite.ThreadConnection(partial(sqlite.connect, path, readonly=readonly), 64)
        # A process that ends without close() must not hang on an idle thread.
        self._thread._thread.daemon = True

    async def open(self) -> "_Seat":
        try:
            await self._thread
            await self._thread.run(self._sit)
        except BaseException:
            if self._thread.stopped is not None:
                await self._thread.stopped
            raise
        return self

    def _sit(self) -> None:
        begin = "BEGIN" if self.readonly else "BEGIN IMMEDIATE"
        self._conn = sqlite.engine_over(self._thread._conn, begin=begin).connect()

    async def revision(self) -> str | None:
        """Return the schema revision without taking a lock: a start-up with a current schema costs one SELECT."""
        return await self._thread.run(partial(sqlite.revision, self._thread._conn))

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction in the seat's thread. Retries only what is known not to have happened."""
        return await self._thread.run(partial(self._transact, work))

    def _transact(self, work: Callable[[Connection], T]) -> T:
        for attempt in range(1, _BUSY_TRIES + 1):
            try:
                if self.readonly:
                    sqlite.bound_reads(self._thread._conn)
                with self._conn.begin():
                    return work(self._conn)
            except DBAPIError as error:
                if not sqlite.is_busy(error) or attempt == _BUSY_TRIES:
                    raise sqlite.meaning(error.orig or error, self.path) from error
                time.sleep(random.uniform(0.01, 0.1) * attempt)  # noqa: S311 - spreads retries, guards nothing
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def close(self) -> None:
        await self._thread.run(self._conn.close)
        await self._thread.close()


class Db:
    """A database file as doors use it. Make one with `open_db`; every method is safe to cancel."""

    def __init__(self, path: Path, lineage: Lineage) -> None:
        self.path, self.lineage = path, lineage
        self._writer = _Seat(path, readonly=False)
        self._readers: dict[int, asyncio.Task[_Seat]] = {}
        self._callers = [0] * _READERS
        self._use: int | None = None

    async def open(self) -> "Db":
        """Connect and bring the schema to this program's. Raises StoreUnusable with the next step."""
        self._use = inuse.hold(self.path)
        try:
            return await self._open()
        except BaseException:
            self._let_go()
            raise

    async def _open(self) -> "Db":
        await self._writer.open()
        try:
            if await self._writer.revision() != self.lineage.head:
                await self._writer.run(lambda conn: migrate.upgrade(conn, self.lineage))
        except BaseException:
            await self._writer.close()
            raise
        return self

    async def write(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(conn, ...)` as one write transaction: committed when this returns, rolled back when it raises."""

        def work(conn: Connection) -> T:
            migrate.require(conn, self.lineage)
            return fn(conn, *args, **kwargs)

        return await self._writer.run(work)

    async def read(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(conn, ...)` on one consistent snapshot, at most 5 s. Writing in it fails."""
        at = self._callers.index(min(self._callers))
        self._callers[at] += 1
        try:
            seat = await self._reader(at)
            return await seat.run(lambda conn: fn(conn, *args, **kwargs))
        finally:
            self._callers[at] -= 1

    async def _reader(self, at: int) -> _Seat:
        opening = self._readers.get(at)
        if opening is None or (opening.done() and (opening.cancelled() or opening.exception() is not None)):
            opening = self._readers[at] = asyncio.create_task(_Seat(self.path, readonly=True).open())
        # Shielded: whoever comes next waits for the same seat, also when its first caller gives up.
        return await asyncio.shield(opening)

    async def close(self) -> None:
        """Finish queued work and close every connection."""
        opened = await asyncio.gather(*self._readers.values(), return_exceptions=True)
        for seat in [*opened, self._writer]:
            if isinstance(seat, _Seat):
                await seat.close()
        self._readers.clear()
        self._let_go()

    def _let_go(self) -> None:
        inuse.let_go(self._use)
        self._use = None


@asynccontextmanager
async def open_db(path: Path, lineage: Lineage) -> AsyncIterator[Db]:
    """Open a database for the length of a block."""
    db = await Db(path, lineage).open()
    try:
        yield db
    finally:
        await db.close()
