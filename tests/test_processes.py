"""Several servers on one file, callers that give up, servers that are killed: nothing acknowledged is lost."""

import asyncio
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fastmcp import Client
from sqlalchemy import Connection, select

from opspilot_mcp.app import App
from opspilot_mcp.store import audit
from opspilot_mcp.store.db import Db
from tests.tools.wire import Message, Wire, told

SHARED = 4  # tickets every process changes
KEYS = 10  # idempotency keys every process uses


@dataclass
class Ledger:
    """What one process was told: the truth its calls must find in the database."""

    created: list[str] = field(default_factory=list)
    applied: Counter[str] = field(default_factory=Counter)
    conflicts: int = 0
    notes: int = 0
    proposed: dict[str, set[str]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB; needs the right to mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def fill(file: FileIO) -> None:
    with suppress(OSError):
        while True:
            file.write(b"\0" * 4096)


# -- many servers, one file --------------------------------------------------------------------------------------------


def test_g01_four_servers_share_a_file_without_a_lost_update(tmp_path: Path) -> None:
    ledgers = run_mixed(tmp_path / "home", servers=4, calls=40)

    check_against(tmp_path / "home" / "desk.db", ledgers)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_g01_eight_servers_and_sixteen_hundred_calls_without_a_lost_update(tmp_path: Path) -> None:
    ledgers = run_mixed(tmp_path / "home", servers=8, calls=200)

    check_against(tmp_path / "home" / "desk.db", ledgers)


def run_mixed(home: Path, *, servers: int, calls: int) -> list[Ledger]:
    """Start the servers at once on an empty path, let each do its calls, return what each was told."""
    with ExitStack() as stack:
        with ThreadPoolExecutor(servers) as pool:
            wires = list(pool.map(lambda _: stack.enter_context(Wire(home)), range(servers)))
            list(pool.map(lambda wire: wire.do("desk_stats"), wires))
        for _ in range(SHARED + 1):
            wires[0].do("create_ticket", subject="Shared", body="b", requester_email="dana@example.com")
        with ThreadPoolExecutor(servers) as pool:
            return list(pool.map(lambda at: work(wires[at], Random(at), calls), range(servers)))


def work(wire: Wire, rng: Random, calls: int) -> Ledger:
    ledger = Ledger()
    kinds = list(_WORK) * (calls // len(_WORK) + 1)
    rng.shuffle(kinds)
    for number, kind in enumerate(kinds[:calls]):
        _WORK[kind](wire, rng, ledger, number)
    return ledger


def _ask(wire: Wire, ledger: Ledger, tool: str, **arguments: object) -> Message:
    result = wire.call(tool, **arguments)
    if result.get("isError"):
        ledger.errors.append(f"{tool}: {told(result)}")
        return {}
    answer: Message = result["structuredContent"]
    return answer


def _create(wire: Wire, rng: Random, ledger: Ledger, number: int) -> None:
    made = _ask(wire, ledger, "create_ticket", subject=f"Ticket {number}", body=f"It fails {rng.random()}")
    ledger.created.append(made.get("id", ""))


def _update(wire: Wire, rng: Random, ledger: Ledger, _: int) -> None:
    shared = f"T-{rng.randint(1, SHARED)}"
    seen = _ask(wire, ledger, "get_ticket", ticket_id=shared)
    other = rng.choice([name for name in ("P1", "P2", "P3", "P4") if name != seen.get("priority")])
    done = _ask(wire, ledger, "update_ticket", ticket_id=shared, priority=other, expected_version=seen.get("version"))
    ledger.applied[shared] += done.get("result") == "applied"
    ledger.conflicts += done.get("result") == "conflict"


def _note(wire: Wire, rng: Random, ledger: Ledger, number: int) -> None:
    done = _ask(wire, ledger, "add_note", ticket_id=f"T-{rng.randint(1, SHARED)}", body=f"note {number} {rng.random()}")
    ledger.notes += done.get("result") == "applied"


def _triage(wire: Wire, _: Random, ledger: Ledger, __: int) -> None:
    if ledger.created:
        _ask(wire, ledger, "triage_ticket", ticket_id=ledger.created[-1])


def _read(wire: Wire, rng: Random, ledger: Ledger, _: int) -> None:
    _ask(wire, ledger, "list_open_tickets", limit=rng.randint(1, 50))


def _propose(wire: Wire, rng: Random, ledger: Ledger, _: int) -> None:
    key = f"key-{rng.randint(1, KEYS)}"
    made = _ask(wire, ledger, "propose_reply", ticket_id=f"T-{SHARED + 1}", body=f"Answer {key}", idempotency_key=key)
    ledger.proposed.setdefault(key, set()).add(made.get("id", ""))


_WORK: dict[str, Callable[[Wire, Random, Ledger, int], None]] = {
    "create": _create,
    "update": _update,
    "update again": _update,
    "note": _note,
    "triage": _triage,
    "read": _read,
    "propose": _propose,
}


def check_against(path: Path, ledgers: list[Ledger]) -> None:
    """Compare what the processes were told with what the database holds."""
    assert [error for one in ledgers for error in one.errors] == []
    applied = sum((one.applied for one in ledgers), Counter[str]())
    with closing(sqlite3.connect(path)) as raw:
        versions = dict(raw.execute("SELECT 'T-' || id, version FROM tickets WHERE id <= ?", (SHARED,)).fetchall())
        assert versions == {f"T-{number}": 1 + applied[f"T-{number}"] for number in range(1, SHARED + 1)}
        created = [one for ledger in ledgers for one in ledger.created]
        assert len(set(created)) == len(created) == count(raw, "tickets") - SHARED - 1
        assert count(raw, "notes") == sum(one.notes for one in ledgers)
        assert count(raw, "audit WHERE action = 'ticket.updated'") == applied.total()
        assert count(raw, "audit WHERE action = 'ticket.created'") == count(raw, "tickets")
        keys = {key for one in ledgers for key in one.proposed}
        assert {
            key: len(set().union(*(one.proposed.get(key, set()) for one in ledgers))) for key in keys
        } == dict.fromkeys(keys, 1)
        assert count(raw, "proposals") == len(keys)
        assert raw.execute("PRAGMA quick_check").fetchone() == ("ok",)


def count(raw: sqlite3.Connection, what: str) -> int:
    found: int = raw.execute(f"SELECT count(*) FROM {what}").fetchone()[0]  # noqa: S608 - our own words
    return found


def test_a_hundred_identical_proposals_from_four_processes_are_one(tmp_path: Path) -> None:
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(tmp_path / "home")) for _ in range(4)]
        wires[0].do("create_ticket", subject="s", body="b", requester_email="dana@example.com")
        asked = {"ticket_id": "T-1", "body": "Hello Dana", "idempotency_key": "one"}
        posted = [(wire, wire.post_call("propose_reply", **asked)) for _ in range(25) for wire in wires]

        answers = [wire.answer(number)["result"]["structuredContent"] for wire, number in posted]

        waiting = wires[0].do("list_approvals")["approvals"]
    assert {answer["id"] for answer in answers} == {"PR-1"}
    assert sum(answer["is_new"] for answer in answers) == 1
    assert [(one["id"], one["state"]) for one in waiting] == [("PR-1", "pending")]


# -- callers that give up ----------------------------------------------------------------------------------------------

BURST = [{"id": f"a{n}", "alertname": "Down", "ts": 1_700_000_000 + n, "host": f"h{n % 7}"} for n in range(1000)]


def test_g07_calls_cancelled_inside_a_write_leave_no_lock_and_no_half_change(tmp_path: Path) -> None:
    with Wire(tmp_path / "home") as giving_up, Wire(tmp_path / "home") as other:
        other.do("desk_stats")
        for number in range(5):
            burst = [{**one, "id": f"{number}-{one['id']}"} for one in BURST]
            posted = giving_up.post_call("ingest_alerts", alerts=burst)
            time.sleep(0.04 * number)
            giving_up.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": posted}})
        # A lock left behind would hold this until the busy time-out and end in an error.
        other.do("create_ticket", subject="meanwhile", body="b")

        assert giving_up.do("desk_stats")["total"] == 1
    with closing(sqlite3.connect(tmp_path / "home" / "desk.db")) as raw:
        batches = raw.execute("SELECT json_extract(detail, '$.count') FROM audit WHERE action = 'alerts.received'")
        assert sum(row[0] for row in batches.fetchall()) == count(raw, "alerts")
        assert count(raw, "alerts") % 500 == 0


async def test_g07_a_native_cancel_inside_a_write_leaves_no_lock_and_no_half_change(db: Db) -> None:
    def slow(conn: Connection, name: str) -> None:
        for half in ("first", "second"):
            audit.record(conn, "test", half, name, now=1)
            time.sleep(0.1)

    callers = [asyncio.create_task(db.write(slow, f"call-{number}")) for number in range(5)]
    await asyncio.sleep(0.15)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)

    with closing(sqlite3.connect(db.path, timeout=1.5)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        halves = raw.execute("SELECT subject, count(*) FROM audit GROUP BY subject").fetchall()
    assert {found for _, found in halves} <= {2}


async def test_g07_a_tool_cancelled_in_its_task_leaves_the_desk_in_order(agent: Client[Any], app: App) -> None:
    for number in range(30):
        await agent.call_tool("create_ticket", {"subject": f"t{number}", "body": "cannot log in"})
    caller = asyncio.create_task(agent.call_tool("triage_ticket", {"limit": 30}))
    await asyncio.sleep(0.01)

    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)

    again = await agent.call_tool("triage_ticket", {"limit": 50})
    assert again.structured_content is not None
    assert again.structured_content["still_untriaged"] == "0"
    with closing(sqlite3.connect(app.db.path)) as raw:
        assert count(raw, "tickets WHERE triaged_ms IS NULL") == 0
        assert count(raw, "triages") == count(raw, "audit WHERE action = 'ticket.triaged'") == 30


async def test_readers_cancelled_while_they_open_leave_the_next_reader_working(db: Db) -> None:
    def nothing(conn: Connection) -> int:
        return conn.scalar(select(1)) or 0

    opening = [asyncio.create_task(db.read(nothing)) for _ in range(2)]
    waiting = asyncio.create_task(db.read(nothing))
    await asyncio.sleep(0)
    for caller in opening:
        caller.cancel()
    await asyncio.gather(*opening, return_exceptions=True)

    assert await asyncio.wait_for(waiting, 3) == 1
    assert await asyncio.wait_for(db.read(nothing), 3) == 1


# -- servers that are killed -------------------------------------------------------------------------------------------


def test_a_server_killed_while_it_writes_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    kill_and_look(tmp_path / "home", rounds=2)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_thirty_kills_lose_nothing_acknowledged(tmp_path: Path) -> None:
    kill_and_look(tmp_path / "home", rounds=30)


def kill_and_look(home: Path, *, rounds: int) -> None:
    """Kill a server in full flight again and again; after each kill the file holds all it had told."""
    rng, acknowledged = Random(7), set[str]()
    for number in range(rounds):
        with Wire(home) as wire:
            acknowledged.add(wire.do("create_ticket", subject=f"{number}-first", body="b")["id"])
            threading.Timer(rng.uniform(0.05, 0.6), wire.process.kill).start()
            posted = [wire.post_call("create_ticket", subject=f"{number}-{n}", body="b") for n in range(150)]
            acknowledged |= told_until_the_end(wire, posted)
        with closing(sqlite3.connect(home / "desk.db")) as raw:
            stored = {row[0] for row in raw.execute("SELECT 'T-' || id FROM tickets")}
            assert acknowledged <= stored
            assert count(raw, "tickets") == count(raw, "audit WHERE action = 'ticket.created'")
            assert raw.execute("PRAGMA quick_check").fetchone() == ("ok",)


def told_until_the_end(wire: Wire, posted: list[int]) -> set[str]:
    """Return the ids the server acknowledged before it died."""
    found = set[str]()
    for number in posted:
        try:
            found.add(wire.answer(number)["result"]["structuredContent"]["id"])
        except AssertionError:  # the pipe ended
            break
    return found


def test_f07_a_full_disk_is_told_and_the_desk_goes_on_when_there_is_room(small_disk: Path) -> None:
    with Wire(small_disk / "home") as wire:
        wire.do("create_ticket", subject="before", body="b")
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file:
            fill(file)
        refused = wire.call("create_ticket", subject="x", body="y" * 150_000)
        filler.unlink()

        made = wire.do("create_ticket", subject="after", body="b")

    assert refused["isError"]
    assert "The disk is full" in told(refused)
    assert made["id"] == "T-2"
