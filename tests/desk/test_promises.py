"""Another policy computes the open tickets anew, once; what is done or was answered keeps what it was held to."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from opspilot_mcp.app import open_app
from opspilot_mcp.desk import moves, promises, tickets
from opspilot_mcp.desk.moves import Changes
from opspilot_mcp.desk.tickets import Status
from opspilot_mcp.policy import Policy, Promise
from opspilot_mcp.settings import Settings
from opspilot_mcp.store import audit
from opspilot_mcp.store.db import Db, open_db
from opspilot_mcp.store.schema import DESK
from opspilot_mcp.store.schema import tickets as rows
from tests.builders import stored_ticket
from tests.conftest import HOUR, NOON

SLOW = Policy(sla={**Policy().sla, "P1": Promise(first_response_minutes=120, resolution_minutes=600)})
SLOW_TOML = "[sla]\n" + "".join(
    f"{name} = {{ first_response_minutes = {one.first_response_minutes}, "
    f"resolution_minutes = {one.resolution_minutes} }}\n"
    for name, one in SLOW.sla.items()
)


def move(conn: Connection, ticket_id: str, status: Status, *, hour: int) -> None:
    moves.update(
        conn,
        ticket_id,
        Changes(status=status),
        expected_version=None,
        actor="agent:test",
        policy=Policy(),
        now=NOON + hour * HOUR,
    )


def test_an_open_ticket_is_held_to_the_new_policy_with_its_pauses(conn: Connection) -> None:
    ticket = stored_ticket(conn)
    move(conn, ticket.id, "pending", hour=0)
    move(conn, ticket.id, "open", hour=3)
    before = tickets.get(conn, ticket.id)

    held = promises.hold(conn, SLOW, after=0)

    after = tickets.get(conn, ticket.id)
    assert held == (None, 1)
    assert after.first_response_due_ms == after.next_due_ms == NOON + 5 * HOUR
    assert after.resolution_due_ms == NOON + 13 * HOUR
    assert after.version == before.version


def test_a_first_response_that_was_given_keeps_its_target(conn: Connection) -> None:
    ticket = stored_ticket(conn)
    tickets.change(conn, ticket, {"responded_ms": NOON}, now=NOON)

    promises.hold(conn, SLOW, after=0)

    after = tickets.get(conn, ticket.id)
    assert (after.first_response_due_ms, after.resolution_due_ms) == (NOON + HOUR, NOON + 10 * HOUR)
    assert after.next_due_ms == NOON + 10 * HOUR


def test_what_is_done_keeps_its_targets_until_it_is_opened_again(conn: Connection) -> None:
    ticket = stored_ticket(conn)
    move(conn, ticket.id, "resolved", hour=0)

    held = promises.hold(conn, SLOW, after=0)
    done = tickets.get(conn, ticket.id)
    changes = Changes(status="open")
    moves.update(conn, ticket.id, changes, expected_version=None, actor="a", policy=SLOW, now=NOON)

    assert (held.changed, done.resolution_due_ms) == (0, NOON + 4 * HOUR)
    assert tickets.get(conn, ticket.id).resolution_due_ms == NOON + 10 * HOUR


def test_the_queue_is_gone_through_in_batches(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        stored_ticket(conn, subject=f"number {number}")
    monkeypatch.setattr(promises, "_BATCH", 2)
    monkeypatch.setattr(promises, "_OPEN", promises._OPEN.limit(2))

    first = promises.hold(conn, SLOW, after=0)
    rest = promises.hold(conn, SLOW, after=first.last or 0)

    assert (first, rest) == ((2, 2), (None, 1))


@pytest.mark.parametrize(
    ("changed", "is_same"),
    [
        ({"sla": SLOW.sla}, False),
        ({"limits": {"proposals_per_hour": 5}}, True),
        ({"calendars": {"unused": {"zone": "UTC", "hours": {"mon": ["08:00-09:00"]}}}}, True),
    ],
)
def test_only_what_a_due_instant_depends_on_counts(changed: dict[str, object], is_same: bool) -> None:
    assert (promises.mark(Policy.model_validate(changed)) == promises.mark(Policy())) is is_same


async def opened(home: Path) -> None:
    async with open_app(Settings(home=home), principal="operator:test"):
        pass


async def changes_told(db: Db) -> list[int]:
    return [one.detail["tickets"] for one in await db.read(audit.of_subject, "policy")]  # type: ignore[misc]


async def test_a_changed_policy_is_taken_up_once_and_told_in_the_audit(tmp_path: Path) -> None:
    await opened(tmp_path)
    async with open_db(tmp_path / "desk.db", DESK) as db:
        await db.write(stored_ticket)
        await opened(tmp_path)
        (tmp_path / "policy.toml").write_text(SLOW_TOML)
        await opened(tmp_path)
        await opened(tmp_path)

        ticket = await db.read(tickets.get, "T-1")

        assert ticket.first_response_due_ms == NOON + 2 * HOUR
        assert await changes_told(db) == [1]


async def test_nothing_is_computed_at_a_start_where_nothing_changed(tmp_path: Path) -> None:
    await opened(tmp_path)
    async with open_db(tmp_path / "desk.db", DESK) as db:
        await db.write(stored_ticket)
        await db.write(lambda conn: conn.execute(update(rows).values(resolution_due_ms=1)))

        await opened(tmp_path)

        assert (await db.read(tickets.get, "T-1")).resolution_due_ms == 1
        assert await changes_told(db) == []
