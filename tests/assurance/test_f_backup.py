"""ASSURANCE F09 and F11: damage is named, a backup under load is whole, a restored gate replays nothing."""

import asyncio
import json
import os
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest

from opspilot_mcp import cli, clock
from opspilot_mcp.errors import StoreBusy, StoreUnusable
from opspilot_mcp.gate import anchors, state
from opspilot_mcp.gate import backup as gate
from opspilot_mcp.store import audit, copies, trail
from opspilot_mcp.store.chain import Walk
from opspilot_mcp.store.db import Db
from opspilot_mcp.store.schema import DESK
from tests.assurance import invariant
from tests.assurance.test_c_isolation import GATE, SHARED, opspilot, shared_home
from tests.gate.conftest import HOUR, MINUTE, NOON, House, open_house

__all__ = ["shared_home"]  # fixture

REPO = Path(__file__).parents[2]
# Writes a change and its row in the record, again and again until it is told to stop; prints how many it wrote.
_WRITER = """
import asyncio, sys
from pathlib import Path
from opspilot_mcp import clock, settings
from opspilot_mcp.app import open_app
from opspilot_mcp.store import audit

def write(conn, name, n):
    audit.record(conn, "agent:x", "writer.wrote", f"{name}-{n}", now=clock.now_ms(), detail={"n": n})
    conn.exec_driver_sql("INSERT INTO sweeps VALUES (?, 1)", (f"{name}-{n}",))

async def go(home, name, stop):
    written = 0
    async with open_app(settings.load(home=Path(home)), principal="agent:x") as app:
        while not Path(stop).exists():
            await app.write(write, name, written)
            written += 1
            if written == 1:
                print("writing", flush=True)
    print(written)

asyncio.run(go(*sys.argv[1:]))
"""


def flip(path: Path, where: bytes) -> None:
    """Change one bit of the only place in a file that holds these bytes."""
    content = bytearray(path.read_bytes())
    assert content.count(where) == 1
    content[content.index(where)] ^= 0x80
    path.write_bytes(content)


async def test_f09_flipped_byte_in_the_desk_is_named_by_its_row(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(1, 6):
        await house.desk.write(audit.record, "agent:x", "ticket.created", "T-1", now=NOON, detail={"n": f"p{number}q"})

    flip(house.root / "desk.db", b"p4q")
    code = cli.run(["audit", "verify", "--home", str(house.root), "--json"])

    told = json.loads(capsys.readouterr().out)
    assert (code, told["sound"]) == (1, False)
    assert (told["desk"]["verdict"]["first_bad"], told["gate"]["verdict"]["first_bad"]) == (4, None)


async def test_f09_flipped_byte_in_the_gate_is_named_by_its_row(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    await house.page()
    [seq] = await house.gate.db.read(
        lambda conn: conn.exec_driver_sql("SELECT seq FROM audit WHERE action = 'message.taken'").scalars().all()
    )
    await house.gate.close()

    with closing(sqlite3.connect(house.gate.home.gate_db)) as raw:
        [detail] = raw.execute("SELECT detail FROM audit WHERE seq = ?", (seq,)).fetchone()
    flip(house.gate.home.gate_db, detail.encode())
    code = cli.run(["audit", "verify", "--home", str(house.root)])

    assert (code, f"First bad row: {seq}: row {seq} was changed" in capsys.readouterr().out) == (1, True)
    house.gate = await type(house.gate).open(house.root, now=NOON)


async def test_f09_flipped_page_header_is_refused_with_the_next_step(house: House, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"\0" * 40 + (house.root / "desk.db").read_bytes()[40:])

    with pytest.raises(StoreUnusable, match="restore a backup"):
        await Db(damaged, DESK).open()


# -- replay ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def restored(house: House, *, from_copy: Path) -> AsyncIterator[House]:
    """Restore a backup into a home of its own and open it; the invariant holds there too."""
    root = from_copy.with_name("restored")
    assert cli.run(["restore", str(from_copy), "--home", str(root)]) == 0
    made = await open_house(root)
    yield made
    await made.gate.close()
    await made.desk.close()
    invariant.check(root)
    assert made.keys["ana"].pair.key_id == house.keys["ana"].pair.key_id


def backed_up(house: House) -> Path:
    folder = house.root.parent / "copy"
    assert cli.run(["backup", str(folder), "--home", str(house.root)]) == 0
    return folder


async def turns(house: House, count: int) -> None:
    for minute in range(1, count + 1):
        await house.tick(NOON + minute * MINUTE)


async def test_f11_a_message_sent_after_the_backup_is_not_sent_again_by_a_restore(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)
    folder = backed_up(house)
    await house.tick(NOON + MINUTE)

    async with restored(house, from_copy=folder) as again:
        await turns(again, 4)

        assert (len(house.sent()), again.sent()) == (1, {})
        assert (await again.state(message_id), (await again.told(message_id)).state) == ("uncertain", "uncertain")
        assert (await again.gate.db.read(state.read)).quarantine


async def test_f11_a_message_the_gate_had_not_taken_is_held_with_the_reason_after_a_restore(house: House) -> None:
    message_id = await house.page(sync=False)
    folder = backed_up(house)
    await house.gate.sync(now=NOON)
    await house.approve(message_id)
    await turns(house, 1)

    async with restored(house, from_copy=folder) as again:
        await turns(again, 2)

        view = await again.gate.view(message_id)
        assert (len(house.sent()), again.sent(), view.message.state) == (1, {}, "held")
        assert "it may have been sent since" in view.message.detail


async def test_f11_a_message_younger_than_the_copied_gate_is_held_too(house: House, tmp_path: Path) -> None:
    gate.copy(house.root, tmp_path / "copy", progress=lambda _: None)
    message_id = await house.page()
    await house.approve(message_id)
    copies.database(house.root / "desk.db", tmp_path / "copy" / "desk.db", progress=lambda _: None)

    assert gate.disarm(tmp_path / "copy", "a test", now=NOON)

    again = await open_house(tmp_path / "copy")
    assert (await again.told(message_id)).outcome == "pending"
    assert await again.state(message_id) == "held"
    await again.gate.close()
    await again.desk.close()


async def test_f11_a_number_that_comes_again_after_a_restore_leaves_under_another_id(house: House) -> None:
    folder = backed_up(house)
    lost = (await house.gate.view(await house.page())).message

    async with restored(house, from_copy=folder) as again:
        found = (await again.gate.view(await again.page())).message

        assert (found.id, found.event_id != lost.event_id) == (lost.id, True)


async def test_f11_after_a_person_has_looked_a_held_message_is_signed_anew_and_leaves(house: House) -> None:
    message_id = await house.page()
    folder = backed_up(house)
    later = clock.now_ms() + HOUR  # the backup was made by the real clock, and nothing may be older than it

    async with restored(house, from_copy=folder) as again:
        await again.gate.end_quarantine(again.session("ana", later), now=later)
        await again.gate.lift(again.session("ana", later), message_id, now=later)
        await again.approve(message_id, now=later)
        await again.tick(later + MINUTE)

        assert (await again.state(message_id), len(again.sent())) == ("sent", 1)


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TRIGGER eve BEFORE UPDATE ON proposals BEGIN SELECT RAISE(ABORT, 'no'); END",
        "UPDATE proposals SET body = zeroblob(9000000)",
    ],
    ids=["trigger", "huge row"],
)
async def test_f11_a_hostile_desk_stops_no_backup_and_its_copy_cannot_send(
    house: House, script: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await house.approve(await house.page())
    await house.page(key="inc-2", sync=False)
    with closing(sqlite3.connect(house.root / "desk.db", isolation_level=None)) as raw:
        raw.execute(script)

    code = cli.run(["backup", str(house.root.parent / "copy"), "--home", str(house.root), "--json"])

    assert (code, json.loads(capsys.readouterr().out)["left_out"]) == (
        0,
        ["what the desk proposed and the gate had not taken yet"],
    )
    with closing(sqlite3.connect(house.root.parent / "copy" / "gate" / "gate.db")) as raw:
        assert raw.execute("SELECT state FROM approvals").fetchall() == [("void",)]


# -- backup under load -------------------------------------------------------------------------------------------------


async def while_writing(house: House, processes: int, *, backups: int) -> tuple[int, list[Path]]:
    """Take backups while processes write at the desk and the gate works; returns how many rows were written in all."""
    stop = house.root.parent / "stop"
    argv = [sys.executable, "-c", _WRITER, str(house.root)]
    running = [
        await asyncio.create_subprocess_exec(*argv, f"w{n}", str(stop), cwd=REPO, stdout=asyncio.subprocess.PIPE)
        for n in range(processes)
    ]
    assert {await one.stdout.readline() for one in running if one.stdout} == {b"writing\n"}
    made = [house.root.parent / f"copy{number}" for number in range(backups)]
    try:
        for minute, folder in enumerate(made, 1):
            backup = asyncio.to_thread(cli.run, ["backup", str(folder), "--home", str(house.root)])
            code, _ = await asyncio.gather(backup, work(house, folder.name, NOON + minute * 60_000))
            assert code == 0
    finally:
        stop.touch()
    counts = [int((await one.communicate())[0]) for one in running]
    assert [one.returncode for one in running] == [0] * processes
    return sum(counts), made


async def work(house: House, key: str, now: int) -> None:
    """Let the gate take, sign and send a message; a desk that is locked for over 2 s is tried again next turn."""
    with suppress(StoreBusy):
        await house.approve(await house.page(key=key))
        await house.tick(now)


async def check_backups(house: House, processes: int, *, backups: int) -> None:
    written, made = await while_writing(house, processes, backups=backups)

    held = [check_restored(folder, folder.with_name(f"{folder.name}-home")) for folder in made]

    assert 0 < held[0] <= held[-1] <= written
    with closing(sqlite3.connect(house.root / "desk.db")) as raw:
        assert raw.execute("SELECT count(*) FROM audit WHERE action = 'writer.wrote'").fetchone() == (written,)


def check_restored(folder: Path, home: Path) -> int:
    """Restore a backup, and check that it is whole; returns how many rows the writers had written in it."""
    assert cli.run(["restore", str(folder), "--home", str(home)]) == 0
    for path in (home / "desk.db", home / "gate" / "gate.db"):
        with closing(sqlite3.connect(path)) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    record, notes = anchors.check(home)
    assert (record.first_bad, trail.verify(home / "desk.db", Walk(notes.held), DESK).first_bad) == (None, None)
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in home.rglob("*")}
    assert modes == {(True, 0o700), (False, 0o600)}
    with closing(sqlite3.connect(home / "desk.db")) as raw:
        [rows] = raw.execute("SELECT count(*) FROM sweeps WHERE name LIKE 'w%-%'").fetchone()
        [noted] = raw.execute("SELECT count(*) FROM audit WHERE action = 'writer.wrote'").fetchone()
    assert rows == noted  # a change and its row are in it, or neither
    return int(rows)


async def test_f11_backup_while_four_processes_write_is_whole(house: House) -> None:
    await check_backups(house, 4, backups=2)


def test_f11_at_l1_the_gates_user_copies_both_and_follows_no_link_of_the_agent(shared_home: Path) -> None:
    folder = shared_home.parent / "backups"
    folder.mkdir(mode=0o700)
    os.chown(folder, GATE, SHARED)
    (shared_home / "runbooks").mkdir()
    (shared_home / "runbooks" / "x.md").symlink_to(shared_home / "gate" / "checkpoint.key")

    done = opspilot(shared_home, "backup", str(folder / "copy"), "--json", uid=GATE)

    told = json.loads(done.stdout)
    assert (done.returncode, told["no_gate"], told["left_out"]) == (0, None, ["runbooks/x.md"])
    assert {(path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) for path in (folder / "copy").rglob("*.db")} == {
        (GATE, 0o600)
    }


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_f11_ten_backups_while_eight_processes_write_are_whole(house: House) -> None:
    await check_backups(house, 8, backups=10)
