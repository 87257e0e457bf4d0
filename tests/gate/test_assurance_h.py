"""ASSURANCE group H: the gate's record shows every change to itself."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection

from opspilot_mcp.errors import OpsPilotError
from opspilot_mcp.gate import audit, keys
from opspilot_mcp.store import chain, guards
from tests.gate.conftest import NOON, House


def run_sql(conn: Connection, statement: str) -> None:
    conn.exec_driver_sql(statement)


REPO = Path(__file__).parents[2]


async def _with_history(house: House) -> sqlite3.Connection:
    """Give the record some rows and return a raw connection of somebody with write access."""
    message_id = await house.page()
    await house.approve(message_id)
    await house.tick(NOON + 1)
    raw = sqlite3.connect(house.gate.home.gate_db, isolation_level=None)
    for name in ("audit_no_update", "audit_no_delete"):
        raw.execute(f"DROP TRIGGER {name}")
    return raw


async def test_untouched_record_is_well(house: House) -> None:
    raw = await _with_history(house)
    raw.close()
    await house.gate.db.write(guards.append_only, "audit")

    found = await house.gate.verify_audit()

    assert (found.first_bad, found.rows) == (None, found.checkpointed)
    assert found.rows >= 6


@pytest.mark.parametrize(
    ("statement", "first_bad"),
    [
        ("UPDATE audit SET detail = '{}' WHERE seq = 3", 3),
        ("UPDATE audit SET actor = 'person:eve' WHERE seq = 4", 4),
        ("UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 1", 1),
        ("DELETE FROM audit WHERE seq = 2", 2),
        ("DELETE FROM audit WHERE seq > 4", 5),
        ("DELETE FROM audit", 1),
        ("UPDATE audit SET seq = seq + 100 WHERE seq = 3", 3),
        ("INSERT OR REPLACE INTO audit SELECT seq, at_ms, 'eve', action, subject, detail, previous, hash "
         "FROM audit WHERE seq = 3", 3),
        ("INSERT INTO audit SELECT 0, at_ms, actor, action, subject, detail, previous, hash FROM audit WHERE seq = 1",
         0),
    ],
)  # fmt: skip
async def test_h02_tampering_names_the_first_bad_row(house: House, statement: str, first_bad: int) -> None:
    raw = await _with_history(house)
    raw.execute(statement)
    raw.close()

    assert (await house.gate.verify_audit()).first_bad == first_bad


async def test_h02_two_rows_swapped_are_seen(house: House) -> None:
    raw = await _with_history(house)
    raw.executescript(
        "UPDATE audit SET seq = 99 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3;"
        "UPDATE audit SET seq = 3 WHERE seq = 99;"
    )
    raw.close()

    assert (await house.gate.verify_audit()).first_bad == 2


async def test_h02_chain_written_anew_disagrees_with_its_checkpoints(house: House) -> None:
    raw = await _with_history(house)
    raw.row_factory = sqlite3.Row
    previous = chain.START
    for row in [dict(one) for one in raw.execute("SELECT * FROM audit ORDER BY seq")]:
        row["actor"] = "person:eve" if row["seq"] == 4 else row["actor"]
        row["previous"] = previous
        previous = chain.row_hash(row)
        raw.execute(
            "UPDATE audit SET actor = ?, previous = ?, hash = ? WHERE seq = ?",
            (row["actor"], row["previous"], previous, row["seq"]),
        )
    raw.close()

    found = await house.gate.verify_audit()

    assert (found.first_bad, "checkpointed" in found.why) == (4, True)


async def test_h02_removed_guard_is_seen(house: House) -> None:
    raw = await _with_history(house)
    raw.close()

    assert "guard" in (await house.gate.verify_audit()).why


@pytest.mark.parametrize("damage", ["forge", "cut", "remove"])
async def test_h02_changed_checkpoints_are_seen(house: House, damage: str) -> None:
    await house.page()
    path = house.gate.checkpoints.path
    lines = path.read_bytes().splitlines(keepends=True)
    changed = {"forge": lines[0].replace(b'"at_ms":', b'"at_ms":1'), "cut": b"".join(lines[1:]), "remove": b""}[damage]
    path.write_bytes(changed)

    assert (await house.gate.verify_audit()).first_bad is not None


async def test_checkpoint_torn_by_a_crash_is_mended(house: House) -> None:
    with house.gate.checkpoints.path.open("ab") as file:
        file.write(b'{"payload": {"from"')

    await house.page()

    assert (await house.gate.verify_audit()).first_bad is None


async def test_h01_record_refuses_change(house: House) -> None:
    for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit", "DELETE FROM nonces WHERE 1"):
        if "nonces" in statement:
            await house.approve(await house.page())
            await house.tick(NOON + 1)
        with pytest.raises(OpsPilotError):
            await house.gate.db.write(run_sql, statement)


async def test_h01_eight_writers_make_one_chain_without_gaps(house: House) -> None:
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom opspilot_mcp.gate import audit\n"
        "from opspilot_mcp.gate.schema import GATE\nfrom opspilot_mcp.store.db import open_db\n"
        "async def go():\n"
        "    async with open_db(Path(sys.argv[1]), GATE) as db:\n"
        "        for n in range(40):\n"
        "            await db.write(audit.record, sys.argv[2], 'x', 'y', now=n)\n"
        "asyncio.run(go())\n"
    )
    before = len(await house.gate.db.read(audit.rows_after, 0))

    path = str(house.gate.home.gate_db)
    running = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, path, str(n), cwd=REPO, stderr=subprocess.PIPE)
        for n in range(8)
    ]
    errors = [(await one.communicate())[1] for one in running]

    await house.gate.tell(now=NOON)
    found = await house.gate.verify_audit()
    assert errors == [b""] * 8
    assert (found.first_bad, found.rows) == (None, before + 320)


async def test_h01_decision_and_its_row_are_one(house: House) -> None:
    message_id = await house.page()
    before = await house.gate.db.read(audit.head)

    def fail_after(conn: object) -> None:
        from opspilot_mcp.gate import decisions

        decisions.reject(conn, message_id, by="x", reason="y", now=NOON)  # type: ignore[arg-type]
        raise OpsPilotError("the power went")

    with pytest.raises(OpsPilotError):
        await house.gate.db.write(fail_after)

    assert await house.gate.db.read(audit.head) == before
    assert await house.state(message_id) == "pending"


async def test_signature_names_the_head_of_the_record(house: House) -> None:
    seq, digest = await house.gate.db.read(audit.head)
    await house.approve(await house.page())

    rows = await house.gate.db.read(lambda conn: conn.exec_driver_sql("SELECT payload FROM approvals").scalars().all())

    assert f'"audit_head":"{seq + 1}:' in rows[0]
    assert digest not in rows[0]
    assert keys.key_id(house.keys["ana"].pair.public) in rows[0]
