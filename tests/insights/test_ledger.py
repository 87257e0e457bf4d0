import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection

from opspilot_mcp.clock import DAY_MS
from opspilot_mcp.engines import Usage
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.insights import ledger
from opspilot_mcp.insights.ledger import AiCall, DeskPurse
from opspilot_mcp.store.db import open_db
from opspilot_mcp.store.schema import DESK
from tests.conftest import NOON
from tests.insights.rows import WEEK, call

WORST = AiCall(at_ms=NOON, operation="read", subject="T-1", engine="anthropic", model="m", cost_usd=0.4, latency_ms=0)
REAL = Usage(engine="anthropic", model="m", input_tokens=700, output_tokens=60, cost_usd=0.1, outcome="ok")


def test_usage_adds_up_tokens_and_dollars_for_each_operation_and_model(conn: Connection) -> None:
    call(conn, subject="T-1", input_tokens=100, output_tokens=10, cached_tokens=5, cost_usd=0.25)
    call(conn, subject="T-1", input_tokens=200, output_tokens=20, cached_tokens=0, cost_usd=0.25)
    call(conn, subject="T-2", operation="draft", cost_usd=0.5, outcome="refused")

    found = ledger.usage(conn, NOON - WEEK, NOON)

    read = next(line for line in found.lines if line.operation == "read")
    assert (read.calls, read.tickets, read.input_tokens, read.output_tokens, read.cached_tokens) == (2, 1, 300, 30, 5)
    assert (read.cost_usd, read.cost_per_ticket_usd, read.outcomes) == (0.5, 0.5, {"ok": 2})
    assert (found.calls, found.tickets, found.cost_usd, found.cost_per_ticket_usd) == (3, 2, 1.0, 0.5)


@pytest.mark.parametrize(("calls", "p50", "p95"), [(1, 1, 1), (2, 1, 2), (20, 10, 19), (21, 11, 20), (100, 50, 95)])
def test_percentiles_are_nearest_rank(conn: Connection, calls: int, p50: int, p95: int) -> None:
    for latency in range(1, calls + 1):
        call(conn, latency_ms=float(latency))

    line = ledger.usage(conn, NOON - WEEK, NOON).lines[0]

    assert (line.latency_p50_ms, line.latency_p95_ms) == (p50, p95)
    assert line.latency_avg_ms == (calls + 1) / 2


def test_outcomes_are_counted_commonest_first(conn: Connection) -> None:
    for outcome in ("timeout", "ok", "ok"):
        call(conn, outcome=outcome)

    line = ledger.usage(conn, NOON - WEEK, NOON).lines[0]

    assert list(line.outcomes.items()) == [("ok", 2), ("timeout", 1)]


def test_calls_outside_the_period_do_not_count(conn: Connection) -> None:
    call(conn, age_ms=WEEK)
    call(conn, age_ms=-1)

    assert ledger.usage(conn, NOON - WEEK, NOON).lines == ()


def test_recent_shows_the_newest_first_and_no_more_than_asked(conn: Connection) -> None:
    for age in (3, 1, 2):
        call(conn, age_ms=age)

    assert [row.at_ms for row in ledger.recent(conn, 2)] == [NOON - 1, NOON - 2]
    with pytest.raises(InvalidInput):
        ledger.recent(conn, 501)


def test_the_daily_budget_counts_reservations_and_refuses_past_its_edge(conn: Connection) -> None:
    first = ledger.reserve(conn, WORST, daily_usd=0.8)
    second = ledger.reserve(conn, WORST, daily_usd=0.8)
    third = ledger.reserve(conn, WORST, daily_usd=0.8)

    assert first is not None
    assert second is not None
    assert third is None


def test_settling_frees_what_was_not_spent_and_works_once(conn: Connection) -> None:
    number = ledger.reserve(conn, WORST, daily_usd=1.0) or 0

    settled = [ledger.settle(conn, number, REAL), ledger.settle(conn, number, REAL)]

    assert settled == [True, False]
    assert ledger.spent_today(conn, now=NOON) == pytest.approx(0.1)
    assert ledger.recent(conn)[0].input_tokens == 700


def test_yesterdays_spend_does_not_bind_today(conn: Connection) -> None:
    midnight = NOON - NOON % DAY_MS
    call(conn, age_ms=NOON - midnight + 1, cost_usd=5.0)
    call(conn, age_ms=NOON - midnight, cost_usd=0.5)

    assert ledger.spent_today(conn, now=NOON) == 0.5


async def test_calls_made_at_once_never_reserve_more_than_the_budget(tmp_path: Path) -> None:
    async with open_db(tmp_path / "desk.db", DESK) as db:
        purse = DeskPurse(db, lambda: NOON, daily_usd=1.0)

        receipts = await asyncio.gather(*(purse.reserve("read", f"T-{i}", "m", 0.3) for i in range(10)))

        assert len([receipt for receipt in receipts if receipt is not None]) == 3
        assert await db.read(ledger.spent_today, now=NOON) == pytest.approx(0.9)
