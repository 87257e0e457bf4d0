"""ASSURANCE group H: both databases keep a record that shows every change, to others and to itself."""

import asyncio
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from opspilot_mcp.gate import anchors
from opspilot_mcp.gate.service import Gate
from opspilot_mcp.store import audit, chain, trail
from opspilot_mcp.store.chain import Walk
from opspilot_mcp.store.schema import DESK
from opspilot_mcp.store.trail import Verdict
from tests.assurance.conftest import agent_of
from tests.assurance.forks import Dispatchers
from tests.gate.conftest import NOON, House

REPO = Path(__file__).parents[2]
ALERT = {"id": "a1", "ts": NOON // 1000, "alertname": "Down", "host": "db-1", "severity": "critical", "source": "x"}
_WRITER = """
import asyncio, sys
from importlib import import_module
from pathlib import Path
from opspilot_mcp.store.db import open_db

audit = import_module(f"opspilot_mcp.{sys.argv[4]}.audit")
schema = import_module(f"opspilot_mcp.{sys.argv[4]}.schema")

async def go():
    async with open_db(Path(sys.argv[1]), getattr(schema, sys.argv[5])) as db:
        for n in range(int(sys.argv[3])):
            await db.write(audit.record, sys.argv[2], "x", "y", now=n)

asyncio.run(go())
"""
_GATE, _DESK = ("gate", "GATE"), ("store", "DESK")


async def recorded(house: House) -> list[tuple[int, str, str]]:
    """Return (seq, action, subject) of the gate's record."""
    rows = await house.gate.db.read(
        lambda conn: conn.exec_driver_sql("SELECT seq, action, subject FROM audit ORDER BY seq").all()
    )
    return [tuple(row) for row in rows]


async def states(house: House) -> list[str]:
    return list(await house.gate.db.read(lambda conn: conn.exec_driver_sql("SELECT state FROM messages").scalars()))


@pytest.mark.parametrize(("label", "state"), [("in_claim", "approved"), ("in_mark", "sending")])
async def test_h01_kill_between_a_change_and_its_row_leaves_neither(
    house: House, forks: Dispatchers, label: str, state: str
) -> None:
    await house.approve(await house.page())

    code = forks.one(house.root, NOON, label)

    actions = [action for _, action, _ in await recorded(house)]
    assert (code, await states(house)) == (-9, [state])
    assert actions.count("message.claimed") == (state == "sending")
    assert "message.sent" not in actions


async def write_at_once(path: Path, rooms: tuple[str, str], processes: int, events: int) -> list[int]:
    """Let several processes write into a record at once; returns their exit codes."""
    commands = [
        [sys.executable, "-c", _WRITER, str(path), f"w{number}", str(events), *rooms] for number in range(processes)
    ]
    running = [await asyncio.create_subprocess_exec(*command, cwd=REPO) for command in commands]
    return [await one.wait() for one in running]


async def writers(house: House, processes: int, events: int) -> None:
    before = len(await recorded(house))

    codes = await write_at_once(house.gate.home.gate_db, _GATE, processes, events)
    await house.gate.tell(now=NOON)

    found = await house.gate.verify_audit()
    assert codes == [0] * processes
    assert [seq for seq, _, _ in await recorded(house)] == list(range(1, before + processes * events + 1))
    assert (found.first_bad, found.checkpointed) == (None, before + processes * events)


async def desk_writers(house: House, processes: int, events: int) -> None:
    codes = await write_at_once(house.root / "desk.db", _DESK, processes, events)
    await anchors.take(house.gate.db, house.gate.desk, now=NOON)

    _, notes = anchors.check(house.root)
    found = trail.verify(house.root / "desk.db", Walk(notes.held), DESK)
    assert codes == [0] * processes
    assert (found.first_bad, found.rows, found.head[0]) == (None, processes * events, processes * events)
    assert found.checkpointed == processes * events


async def test_h01_four_writers_make_one_chain_without_gaps(house: House) -> None:
    await writers(house, 4, 25)


async def test_h01_eight_writers_at_the_desk_make_one_chain_without_gaps(house: House) -> None:
    await desk_writers(house, 8, 15)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_h01_eight_writers_of_a_thousand_events(house: House) -> None:
    await writers(house, 8, 1000)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_h01_eight_writers_of_a_thousand_events_at_the_desk(house: House) -> None:
    await desk_writers(house, 8, 1000)


async def test_h01_every_change_at_the_desk_has_its_row(house: House) -> None:
    changes: list[tuple[str, dict[str, Any]]] = [
        ("create_ticket", {"subject": "a", "body": "b", "requester_email": "d@example.com"}),
        ("create_ticket", {"subject": "c", "body": "d"}),
        ("update_ticket", {"ticket_id": "T-1", "priority": "P2"}),
        ("add_note", {"ticket_id": "T-1", "body": "n"}),
        ("triage_ticket", {"ticket_id": "T-1"}),
        ("escalate", {"id": "T-1", "reason": "loud customer"}),
        ("propose_reply", {"ticket_id": "T-1", "body": "hello"}),
        ("withdraw_message", {"proposal_id": "PR-1"}),
        ("merge_tickets", {"duplicate_id": "T-2", "into_id": "T-1"}),
    ]

    assert await grown(house, changes) == [(tool, False, True) for tool, _ in changes]


async def test_h01_every_change_of_the_alert_wing_has_its_row(house: House) -> None:
    changes: list[tuple[str, dict[str, Any]]] = [
        ("ingest_alerts", {"alerts": [ALERT]}),
        ("correlate_alerts", {}),
        ("update_incident", {"incident_id": "INC-1", "action": "acknowledge"}),
    ]

    assert await grown(house, changes) == [(tool, False, True) for tool, _ in changes]


async def grown(house: House, changes: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, bool, bool]]:
    """Return (tool, was refused, did the desk's record grow) of each call."""
    out = []
    async with agent_of(house) as agent:
        for tool, arguments in changes:
            before = await _desk_rows(house)
            done = await agent.call_tool(tool, arguments, raise_on_error=False)
            out.append((tool, done.is_error, await _desk_rows(house) > before))
    return out


async def _desk_rows(house: House) -> int:
    return int(await house.desk.read(lambda conn: conn.exec_driver_sql("SELECT COUNT(*) FROM audit").scalar_one()))


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", "INSERT OR REPLACE INTO audit SELECT * FROM audit"],
)
async def test_h02_the_desks_record_takes_no_change(house: House, statement: str) -> None:
    async with agent_of(house) as agent:
        await agent.call_tool("create_ticket", {"subject": "a", "body": "b"})

    raw = sqlite3.connect(house.root / "desk.db")
    raw.execute("PRAGMA recursive_triggers = ON")
    with pytest.raises(sqlite3.DatabaseError):
        raw.execute(statement)
    raw.close()


TAMPERING = [
    ("UPDATE audit SET detail = '{}' WHERE seq = 3", 3),
    ("DELETE FROM audit WHERE seq = 2", 2),
    ("DELETE FROM audit WHERE seq > 4", 5),
    ("DELETE FROM audit", 1),
    ("UPDATE audit SET seq = 90 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3;"
     " UPDATE audit SET seq = 3 WHERE seq = 90", 2),
    ("INSERT INTO audit SELECT 0, at_ms, actor, action, subject, detail, previous, hash FROM audit WHERE seq = 1", 0),
    ("INSERT OR REPLACE INTO audit SELECT seq, at_ms, 'eve', action, subject, detail, previous, hash FROM audit"
     " WHERE seq = 3", 3),
    ("PRAGMA writable_schema = ON; DELETE FROM sqlite_master WHERE type = 'trigger';"
     " UPDATE audit SET actor = 'eve' WHERE seq = 4", 4),
]  # fmt: skip


@pytest.mark.parametrize(("script", "first_bad"), TAMPERING, ids=lambda value: str(value)[:24])
async def test_h02_tampering_names_the_first_bad_row(house: House, script: str, first_bad: int) -> None:
    await house.approve(await house.page())
    await house.tick(NOON + 1)
    raw = sqlite3.connect(house.gate.home.gate_db, isolation_level=None)
    for name in ("audit_no_update", "audit_no_delete"):
        raw.execute(f"DROP TRIGGER {name}")

    raw.executescript(script)
    raw.close()

    assert (await house.gate.verify_audit()).first_bad == first_bad


def rewrite(raw: sqlite3.Connection, seq: int) -> None:
    """Change who wrote row `seq` and write the whole chain anew, as a patient attacker would."""
    raw.row_factory = sqlite3.Row
    raw.execute("DROP TRIGGER audit_no_update")
    previous = chain.START
    for row in [dict(one) for one in raw.execute("SELECT * FROM audit ORDER BY seq")]:
        row |= {"actor": "person:eve" if row["seq"] == seq else row["actor"], "previous": previous}
        previous = chain.row_hash(row)
        changed = (row["actor"], row["previous"], previous, row["seq"])
        raw.execute("UPDATE audit SET actor = ?, previous = ?, hash = ? WHERE seq = ?", changed)


async def test_h02_chain_written_anew_disagrees_with_its_checkpoints(house: House) -> None:
    await house.approve(await house.page())
    raw = sqlite3.connect(house.gate.home.gate_db, isolation_level=None)
    rewrite(raw, 4)
    raw.close()

    assert (await house.gate.verify_audit()).first_bad == 4


async def test_h02_removed_trigger_alone_is_seen(house: House) -> None:
    raw = sqlite3.connect(house.gate.home.gate_db)
    raw.execute("DROP TRIGGER audit_no_delete")
    raw.close()

    assert "guard" in (await house.gate.verify_audit()).why


@pytest.mark.parametrize("damage", ["forged", "first line cut", "last line cut", "gone"])
async def test_h02_changed_checkpoints_are_seen(house: House, damage: str) -> None:
    await house.page()
    path = house.gate.checkpoints.path
    lines = path.read_bytes().splitlines(keepends=True)
    forged = lines[0].replace(b'"at_ms":', b'"at_ms":1')
    changed = {
        "forged": [forged, *lines[1:]],
        "first line cut": lines[1:],
        "last line cut": [*lines[:-1], lines[-1][:-9]],
        "gone": [],
    }
    path.write_bytes(b"".join(changed[damage]))

    assert (await house.gate.verify_audit()).first_bad is not None


async def test_h02_a_gate_whose_record_is_older_than_its_checkpoints_sends_nothing(house: House) -> None:
    message_id = await house.page()
    old = house.gate.home.gate_db.read_bytes()
    await house.approve(message_id)
    await house.gate.close()
    house.gate.home.gate_db.write_bytes(old)

    house.gate = await Gate.open(house.root, now=NOON)
    await house.tick(NOON + 60_000)

    assert house.sent() == {}
    assert "quarantine" in str(await house.gate.db.read(lambda conn: conn.exec_driver_sql(
        "SELECT action FROM audit").scalars().all()))  # fmt: skip


# -- the desk's record, as the gate's notes show it --------------------------------------------------------------------


async def keep(house: House, rows: int) -> None:
    """Let the desk keep some rows, and the gate note the newest but one."""
    for number in range(1, rows + 1):
        await house.desk.write(audit.record, "agent:x", "ticket.created", f"T-{number}", now=NOON, detail={"n": number})
        if number == rows - 1:
            await house.tick()


def checked(house: House) -> Verdict:
    _, notes = anchors.check(house.root)
    return trail.verify(house.root / "desk.db", Walk(notes.held, held_word="noted by the gate"), DESK)


def tamper(house: House, script: str, *, guards: bool = True) -> None:
    raw = sqlite3.connect(house.root / "desk.db", isolation_level=None)
    if guards:
        for name in ("audit_no_update", "audit_no_delete"):
            raw.execute(f"DROP TRIGGER {name}")
    raw.executescript(script)
    raw.close()


@pytest.mark.parametrize(
    ("script", "first_bad"),
    [
        *TAMPERING,
        ("DELETE FROM audit WHERE seq > 5", 6),
        ("UPDATE audit SET detail = CAST(x'7bff7d' AS TEXT) WHERE seq = 2", 2),
        ("UPDATE audit SET detail = zeroblob(2000000) WHERE seq = 2", 2),
        ("UPDATE audit SET at_ms = 1.5 WHERE seq = 6", 6),
        ("ALTER TABLE audit RENAME TO kept; CREATE VIEW audit AS SELECT * FROM kept WHERE seq > 1", 1),
        ("ALTER TABLE audit RENAME TO kept", 1),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_h02_tampering_with_the_desks_record_names_the_first_bad_row(
    house: House, script: str, first_bad: int
) -> None:
    await keep(house, 7)
    assert checked(house).first_bad is None

    tamper(house, script)

    assert checked(house).first_bad == first_bad


async def test_h02_the_desks_record_written_anew_disagrees_with_what_the_gate_noted(house: House) -> None:
    await keep(house, 7)
    raw = sqlite3.connect(house.root / "desk.db", isolation_level=None)
    rewrite(raw, 3)
    raw.close()

    found = checked(house)

    assert (found.first_bad, found.why) == (6, "row 6 is not the row that was noted by the gate")


async def test_h02_a_cut_that_has_grown_again_still_shows(house: House) -> None:
    await keep(house, 7)
    tamper(house, "DELETE FROM audit WHERE seq > 3")
    for _ in range(9):
        await house.desk.write(audit.record, "agent:x", "ticket.created", "T-1", now=NOON)
    await house.tick(NOON + 60_000)

    assert checked(house).first_bad == 6


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("", "the guard audit_no_delete was removed"),
        ("CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT 1; END;"
         " CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT 1; END", "is not ours"),
        ("CREATE TRIGGER eve AFTER INSERT ON audit BEGIN DELETE FROM audit WHERE seq = new.seq; END", "is not ours"),
    ],
)  # fmt: skip
async def test_h02_removed_or_changed_guard_of_the_desk_is_seen(house: House, script: str, why: str) -> None:
    await keep(house, 3)

    tamper(house, script, guards="eve" not in script)

    found = checked(house)
    assert (found.first_bad, why in found.why) == (4, True)


@pytest.mark.parametrize(
    "script",
    [
        "UPDATE audit SET hash = zeroblob(7000000) WHERE seq = 3",
        "UPDATE audit SET hash = zeroblob(9000000) WHERE seq = 3",
        "UPDATE audit SET hash = upper(hash) WHERE seq = 3",
        "UPDATE audit SET seq = 9000000000000000000 WHERE seq = 3",
        "ALTER TABLE audit RENAME TO kept",
        "ALTER TABLE audit RENAME TO kept; CREATE TABLE audit (seq TEXT, hash TEXT);"
        " INSERT INTO audit VALUES ('x', 'y')",
    ],
    ids=lambda value: value[:40],
)
async def test_h02_a_hostile_desk_record_stops_no_turn_and_does_not_enter_the_gates(house: House, script: str) -> None:
    await keep(house, 3)
    before = await recorded(house)
    tamper(house, script)

    await house.tick(NOON + 120_000)

    assert await recorded(house) == before


async def test_the_desks_newest_row_is_noted_once_a_minute_and_only_when_it_moved(house: House) -> None:
    await keep(house, 3)
    for now in (NOON + 1, NOON + 59_999, NOON + 60_000, NOON + 180_000):
        await house.tick(now)

    _, notes = anchors.check(house.root)

    assert (sorted(notes.held), notes.at_ms) == ([2, 3], NOON + 60_000)
