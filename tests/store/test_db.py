"""One function, one transaction, one hop: what holds whatever the caller does."""

import asyncio
import multiprocessing
import multiprocessing.connection
import multiprocessing.synchronize
import os
import signal
import sqlite3
import stat
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from opspilot_mcp.errors import StoreBusy, StoreUnusable
from opspilot_mcp.store import sqlite
from opspilot_mcp.store.db import Db, open_db
from opspilot_mcp.store.schema import DESK


def put(conn: Connection, name: str) -> None:
    conn.execute(text("INSERT INTO sweeps VALUES (:name, 1)"), {"name": name})


def names(conn: Connection) -> list[str]:
    return list(conn.execute(text("SELECT name FROM sweeps ORDER BY name")).scalars())


async def test_a_write_is_there_for_the_next_read(db: Db) -> None:
    await db.write(put, "a")

    assert await db.read(names) == ["a"]


async def test_a_write_that_raises_leaves_nothing(db: Db) -> None:
    def half(conn: Connection) -> None:
        put(conn, "a")
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        await db.write(half)

    assert await db.read(names) == []


async def test_a_read_cannot_write(db: Db) -> None:
    with pytest.raises(StoreUnusable):
        await db.read(put, "a")

    assert await db.read(names) == []


async def test_g07_a_cancelled_write_is_whole_and_leaves_no_lock(db: Db, tmp_path: Path) -> None:
    def slow(conn: Connection) -> None:
        put(conn, "a")
        time.sleep(0.3)
        put(conn, "b")

    caller = asyncio.create_task(db.write(slow))
    await asyncio.sleep(0.1)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller

    async with open_db(tmp_path / "desk.db", DESK) as other:
        await other.write(put, "c")
    assert await db.read(names) == ["a", "b", "c"]


async def test_g06_a_read_without_end_is_ended(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "READ_LIMIT_S", 0.2)
    endless = text("WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT count(*) FROM r")

    with pytest.raises(StoreBusy, match="Ask for less"):
        await db.read(lambda conn: conn.execute(endless).all())

    assert await db.read(names) == []


async def test_a_process_older_than_the_schema_refuses_to_write(db: Db) -> None:
    await db.write(lambda conn: conn.execute(text("UPDATE alembic_version SET version_num = '9999'")))

    with pytest.raises(StoreUnusable, match="newest opspilot-mcp"):
        await db.write(put, "a")


async def test_a_newer_schema_is_not_opened(db: Db, tmp_path: Path) -> None:
    await db.write(lambda conn: conn.execute(text("UPDATE alembic_version SET version_num = '9999'")))

    with pytest.raises(StoreUnusable, match="Install the newest"):
        await Db(tmp_path / "desk.db", DESK).open()


async def test_a_damaged_file_is_told_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "desk.db").write_bytes(b"not a database, " * 400)

    with pytest.raises(StoreUnusable, match="restore a backup"):
        await Db(tmp_path / "desk.db", DESK).open()


async def test_the_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with open_db(tmp_path / "desk.db", DESK) as db:
            await db.write(put, "a")
            modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("desk.db*")}
    finally:
        os.umask(before)

    assert modes == {0o600}


async def test_a_file_in_a_shared_home_is_open_to_its_group(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o2770)

    async with open_db(home / "desk.db", DESK):
        mode = stat.S_IMODE((home / "desk.db").stat().st_mode)

    assert mode == 0o660


@pytest.mark.parametrize(
    ("version", "fixed"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), True),
    ],
)
def test_g09_wal_is_used_only_on_builds_without_the_reset_bug(version: tuple[int, ...], fixed: bool) -> None:
    assert sqlite.has_wal_reset_fix(version) is fixed


def test_g09_the_journal_follows_the_linked_sqlite(tmp_path: Path) -> None:
    raw = sqlite.connect(tmp_path / "desk.db")

    mode = raw.execute("PRAGMA journal_mode").fetchone()[0]

    raw.close()
    assert mode == sqlite.wanted_journal()


def _open_at_the_barrier(path: Path, barrier: "multiprocessing.synchronize.Barrier") -> None:
    async def go() -> None:
        async with open_db(path, DESK) as db:
            await db.write(put, str(os.getpid()))

    barrier.wait()
    asyncio.run(go())


@pytest.mark.parametrize("count", [12, pytest.param(32, marks=[pytest.mark.long, pytest.mark.timeout(300)])])
def test_g02_cold_starts_on_an_empty_path_migrate_once(tmp_path: Path, count: int) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(count)
    starts = [context.Process(target=_open_at_the_barrier, args=(tmp_path / "desk.db", barrier)) for _ in range(count)]

    for process in starts:
        process.start()
    for process in starts:
        process.join(90)

    assert [process.exitcode for process in starts] == [0] * count
    with sqlite3.connect(tmp_path / "desk.db") as raw:
        assert raw.execute("SELECT count(*) FROM sweeps").fetchone() == (count,)


def _write_until_killed(path: Path, said: "multiprocessing.connection.Connection") -> None:
    async def go() -> None:
        async with open_db(path, DESK) as db:
            for number in range(100_000):
                await db.write(put, f"{number:06d}")
                said.send(number)

    asyncio.run(go())


def test_a_kill_during_writes_loses_no_acknowledged_commit(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    writer = context.Process(target=_write_until_killed, args=(tmp_path / "desk.db", theirs))
    writer.start()
    while ours.recv() < 20:
        pass

    os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join(10)
    theirs.close()
    last = 20
    while ours.poll(0):
        try:
            last = ours.recv()
        except EOFError:
            break

    with sqlite3.connect(tmp_path / "desk.db") as raw:
        stored = [int(row[0]) for row in raw.execute("SELECT name FROM sweeps ORDER BY name")]
    assert stored == list(range(len(stored)))
    assert len(stored) > last
