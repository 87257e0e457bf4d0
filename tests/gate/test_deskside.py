"""The desk's database is a stranger's file: nothing in it may send, stop or change the gate."""

import sqlite3
import time
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from opspilot_mcp import proposals
from opspilot_mcp.errors import OpsPilotError, StoreUnusable
from opspilot_mcp.gate import deskside, risks
from opspilot_mcp.store.schema import proposals as desk_proposals
from tests.gate.conftest import MINUTE, NOON, House


def _raw(house: House) -> sqlite3.Connection:
    return sqlite3.connect(house.root / "desk.db", isolation_level=None)


async def test_c03_flipped_states_in_the_desk_send_nothing(house: House) -> None:
    await house.page()
    raw = _raw(house)
    raw.execute("UPDATE proposals SET outcome = 'approved', asked = 'send'")
    raw.execute("INSERT INTO idempotency VALUES ('a', 'b', 'c', 'approved', 1)")
    raw.close()

    await house.tick(NOON + MINUTE)

    assert house.sent() == {}


async def test_c03_approvals_table_in_the_desk_means_nothing(house: House) -> None:
    message_id = await house.page()
    raw = _raw(house)
    raw.execute("CREATE TABLE approvals AS SELECT 1 AS message_id, 'valid' AS state")
    raw.close()

    await house.tick(NOON + MINUTE)

    assert (house.sent(), await house.state(message_id)) == ({}, "pending")


async def test_c03_trigger_in_the_desk_cannot_act_through_the_gate(house: House) -> None:
    raw = _raw(house)
    raw.execute(
        "CREATE TRIGGER evil AFTER UPDATE OF outcome ON proposals "
        "BEGIN UPDATE requesters SET address = 'eve@x.org'; END"
    )
    raw.close()

    with pytest.raises(deskside.DeskChanged, match=r"desk\.db holds the trigger 'evil', .*DROP TRIGGER"):
        await house.page()

    raw = _raw(house)
    assert raw.execute("SELECT COUNT(*) FROM requesters WHERE address = 'eve@x.org'").fetchone() == (0,)
    raw.close()


@pytest.mark.parametrize("table", ["proposals", "gate_status"])
async def test_c03_with_a_trigger_in_the_desk_only_the_signed_leaves_and_the_desk_hears_later(
    house: House, table: str
) -> None:
    signed, waiting = await house.page(), await house.page(key="inc-2", title="two", sync=False)
    await house.approve(signed)
    raw = _raw(house)
    raw.execute(f"CREATE TRIGGER evil AFTER UPDATE ON {table} BEGIN DELETE FROM tickets; END")  # noqa: S608
    with pytest.raises(deskside.DeskChanged):
        await house.tick(NOON + MINUTE)
    sent, untold = list(house.sent()), (await house.told(signed)).state

    raw.execute("DROP TRIGGER evil")
    raw.close()
    await house.tick(NOON + 2 * MINUTE)

    assert (sent, await house.state(waiting)) == ([f"{signed}.v1.json"], "pending")
    assert untold == ("approved" if table == "proposals" else "sent")
    assert (await house.told(signed)).state == "sent"


async def test_c03_a_trigger_does_not_hide_what_is_newer(house: House) -> None:
    await house.page(sync=False)
    row = await house.desk.read(lambda conn: dict(conn.execute(select(desk_proposals)).mappings().one()))
    del row["id"]
    await house.desk.write(lambda conn: conn.execute(insert(desk_proposals), [row] * (2 * deskside.BATCH)))
    raw = _raw(house)
    raw.execute("CREATE TRIGGER evil AFTER UPDATE ON proposals BEGIN SELECT 1; END")
    raw.close()

    for turn in range(5):
        with suppress(deskside.DeskChanged):
            await house.tick(NOON + turn * 10_000)

    assert await house.gate.counts() == {"pending": 2 * deskside.BATCH + 1}


async def test_c03_view_in_place_of_a_table_is_refused(house: House) -> None:
    raw = _raw(house)
    raw.execute("ALTER TABLE proposals RENAME TO p2")
    raw.execute("CREATE VIEW proposals AS SELECT * FROM p2")
    raw.close()

    with pytest.raises(OpsPilotError):
        await house.gate.sync(now=NOON)


async def test_c03_endless_view_ends_in_time(house: House) -> None:
    raw = _raw(house)
    raw.execute("DROP TABLE gate_status")
    raw.execute(
        "CREATE VIEW gate_status AS WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT x FROM r"
    )
    raw.close()
    began = time.monotonic()

    with pytest.raises(OpsPilotError):
        await house.gate.beat(now=NOON)

    assert time.monotonic() - began < 2 * deskside._STEP_S


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE proposals SET subject = 'T-1; DROP TABLE messages'",
        "UPDATE proposals SET subject_version = 'one'",
        "UPDATE proposals SET body = CAST(X'FFFE' AS TEXT)",
        "UPDATE proposals SET body = zeroblob(100)",
        "UPDATE proposals SET title = replace(hex(zeroblob(5000)), '0', 'a')",
        "UPDATE proposals SET requester_id = 1.5",
    ],
)
async def test_c03_row_of_a_wrong_shape_is_answered_and_the_others_go_on(house: House, statement: str) -> None:
    bad = await house.page(sync=False)
    raw = _raw(house)
    raw.execute("PRAGMA ignore_check_constraints = ON")
    raw.execute(statement)
    raw.close()

    good = await house.page(key="inc-2", title="good")

    assert await house.state(good) == "pending"
    told = _raw(house).execute("SELECT outcome FROM proposals WHERE id = 1").fetchone()
    assert told == ("rejected",), bad


@pytest.mark.parametrize("number", [0, -5, 2**63 - 1, -(2**63), 10**15])
async def test_c03_row_under_a_number_nobody_gives_hides_no_other(house: House, number: int) -> None:
    good = await house.page(sync=False)
    raw = _raw(house)
    columns = ", ".join(column.name for column in desk_proposals.c if column.name != "id")
    raw.execute(f"INSERT INTO proposals (id, {columns}) SELECT {number}, {columns} FROM proposals")  # noqa: S608
    raw.close()

    for turn in range(2):
        await house.tick(NOON + turn * 10_000)

    assert await house.gate.counts() == {"pending": 1}
    assert await house.state(good) == "pending"


async def test_a_fault_of_ours_in_one_message_does_not_keep_the_others_out(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    examine = risks.flags

    def faulty(title: str, body: str, *more: Any) -> list[risks.Flag]:
        return examine(title, body, *more) if body != "poison" else 1 / 0  # type: ignore[return-value]

    monkeypatch.setattr(risks, "flags", faulty)
    bad = await house.page(body="poison", sync=False)
    good = await house.page(key="inc-2", title="two")

    assert await house.state(good) == "pending"
    assert (await house.told(bad)).state == "rejected"
    assert (await house.gate.verify_audit()).first_bad is None


async def test_c03_huge_row_does_not_stop_the_others(house: House) -> None:
    await house.page(sync=False)
    raw = _raw(house)
    raw.execute("UPDATE proposals SET body = zeroblob(20000000)")
    raw.close()

    good = await house.page(key="inc-2", title="good")
    await house.tick(NOON)

    assert await house.state(good) == "pending"


async def test_c03_many_large_cells_are_not_read_whole(house: House) -> None:
    ticket = await house.ticket()
    message_id = await house.reply(ticket, sync=False)
    raw = _raw(house)
    for _ in range(20):
        raw.execute(
            "INSERT INTO replies (ticket_id, direction, body, at_ms) VALUES (?, 'in', ?, 0)", (ticket, "a" * 4_000_000)
        )
    raw.execute("UPDATE requesters SET name = ?", ("a" * 4_000_000,))
    raw.close()

    tracemalloc.start()
    await house.gate.sync(now=NOON)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert await house.state(message_id) == "pending"
    assert peak < 40_000_000


async def test_c03_huge_ticket_does_not_stop_the_others(house: House) -> None:
    ticket = await house.ticket()
    bad = await house.reply(ticket, sync=False)
    raw = _raw(house)
    raw.execute("UPDATE tickets SET body = zeroblob(20000000)")
    raw.close()

    good = await house.page()

    assert (await house.state(good), await house.state(bad)) == ("pending", "pending")


async def test_a_missing_desk_is_said_plainly(house: House) -> None:
    (house.root / "desk.db").rename(house.root / "away.db")

    with pytest.raises(StoreUnusable, match="no desk database"):
        await house.gate.sync(now=NOON)


async def test_desk_of_another_schema_is_not_read(house: House) -> None:
    raw = _raw(house)
    raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()

    with pytest.raises(StoreUnusable, match="9999"):
        await house.gate.sync(now=NOON)


async def test_gate_writes_only_its_own_columns(house: House) -> None:
    await house.page()

    with pytest.raises(OpsPilotError):
        await house.gate.desk.write(lambda conn: conn.execute(update(desk_proposals).values(body="changed")))
    with pytest.raises(OpsPilotError):
        await house.gate.desk.write(lambda conn: conn.exec_driver_sql("DELETE FROM proposals"))


async def test_proposal_asked_for_again_by_a_cleared_outcome_is_not_taken_twice(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)
    await house.tick(NOON + 1)
    await house.desk.write(lambda conn: conn.execute(update(desk_proposals).values(outcome=None)))

    await house.tick(NOON + MINUTE)

    assert len(house.sent()) == 1
    assert (await house.desk.read(proposals.get, message_id)).state == "sent"


async def test_more_proposals_than_a_batch_are_all_taken(house: House) -> None:
    first = await house.page(sync=False)
    row = await house.desk.read(lambda conn: dict(conn.execute(select(desk_proposals)).mappings().one()))
    del row["id"]
    count = 2 * deskside.BATCH
    await house.desk.write(lambda conn: conn.execute(insert(desk_proposals), [row] * (count - 1)))

    taken = await house.gate.sync(now=NOON)

    told = await house.desk.read(proposals.recent, waiting=True, limit=count + 1)
    assert (taken, len(told), {one.outcome for one in told}) == (count, count, {"pending"}), first
