"""ASSURANCE group H: both databases keep a record that shows every change, to others and to itself."""

import asyncio
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from opspilot_mcp.gate.service import Gate
from opspilot_mcp.store import chain
from tests.assurance.conftest import agent_of
from tests.assurance.forks import Dispatchers
from tests.gate.conftest import NOON, House

REPO = Path(__file__).parents[2]
ALERT = {"id": "a1", "ts": NOON // 1000, "alertname": "Down", "host": "db-1", "severity": "critical", "source": "x"}
_WRITER = """
import asyncio, sys
from pathlib import Path
from opspilot_mcp.gate import audit
from opspilot_mcp.gate.schema import GATE
from opspilot_mcp.store.db import open_db

async def go():
    async with open_db(Path(sys.argv[1]), GATE) as db:
        for n in range(int(sys.argv[3])):
            await db.write(audit.record, sys.argv[2], "x", "y", now=n)

asyncio.run(go())
"""


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


async def writers(house: House, processes: int, events: int) -> None:
    """Let several processes write into the record at once, then check it."""
    before = len(await recorded(house))
    path = str(house.gate.home.gate_db)
    commands = [[sys.executable, "-c", _WRITER, path, f"w{n}", str(events)] for n in range(processes)]
    running = [await asyncio.create_subprocess_exec(*command, cwd=REPO) for command in commands]
    codes = [await one.wait() for one in running]
    await house.gate.tell(now=NOON)

    found = await house.gate.verify_audit()
    assert codes == [0] * processes
    assert [seq for seq, _, _ in await recorded(house)] == list(range(1, before + processes * events + 1))
    assert (found.first_bad, found.checkpointed) == (None, before + processes * events)


async def test_h01_four_writers_make_one_chain_without_gaps(house: House) -> None:
    await writers(house, 4, 25)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_h01_eight_writers_of_a_thousand_events(house: House) -> None:
    await writers(house, 8, 1000)


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


async def test_h02_chain_written_anew_disagrees_with_its_checkpoints(house: House) -> None:
    await house.approve(await house.page())
    raw = sqlite3.connect(house.gate.home.gate_db, isolation_level=None)
    raw.row_factory = sqlite3.Row
    raw.execute("DROP TRIGGER audit_no_update")
    previous = chain.START
    for row in [dict(one) for one in raw.execute("SELECT * FROM audit ORDER BY seq")]:
        row |= {"actor": "person:eve" if row["seq"] == 4 else row["actor"], "previous": previous}
        previous = chain.row_hash(row)
        changed = (row["actor"], row["previous"], previous, row["seq"])
        raw.execute("UPDATE audit SET actor = ?, previous = ?, hash = ? WHERE seq = ?", changed)
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
