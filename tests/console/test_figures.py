"""Figures over a period, and the lists behind them: each chart in words too, each long list a page at a time."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from opspilot_mcp.aiops.timeline import Member
from opspilot_mcp.clock import DAY_MS, HOUR_MS
from opspilot_mcp.console import charts
from opspilot_mcp.console.pages import figures
from opspilot_mcp.insights import ledger, volume
from opspilot_mcp.insights.ledger import AiCall
from opspilot_mcp.store import audit
from tests.builders import stored_ticket
from tests.console.conftest import Browser, Time
from tests.gate.conftest import MINUTE, NOON, House


def call(number: int) -> AiCall:
    return AiCall(
        at_ms=NOON - number // 2,
        operation="read",
        subject=f"T-{number}",
        engine="anthropic",
        model="m",
        cost_usd=0.5,
        latency_ms=100.0 * number,
    )


def _calls(conn: Connection) -> None:
    for number in range(1, 61):
        ledger.record(conn, call(number))


def _entries(conn: Connection) -> None:
    for number in range(1, 121):
        audit.record(conn, "agent:bot", "ticket.noted", f"T-{number}", now=NOON)


async def pages(ana: Browser, path: str, find: Callable[[str], list[str]]) -> list[str]:
    """Return what `find` sees on a list's pages, following its link to older rows."""
    found: list[str] = []
    while path:
        await ana.get(path)
        found += find(ana.page)
        links = re.findall(r'href="([^"]*)">Older<', ana.page)
        path = links[0].replace("&amp;", "&") if links else ""
    return found


async def test_every_ai_call_is_listed_once_over_the_pages(ana: Browser, house: House) -> None:
    await house.desk.write(_calls)

    found = await pages(ana, "/ai", lambda page: re.findall(r'data-name="About"><a href="/tickets/T-(\d+)"', page))

    assert found[:2] == ["1", "3"]
    assert sorted(found, key=int) == [str(number) for number in range(1, 61)]


async def test_the_desks_record_is_read_to_its_first_row(ana: Browser, house: House) -> None:
    await house.desk.write(_entries)

    found = await pages(ana, "/audit?of=desk", lambda page: re.findall(r'data-name="Row">(\d+)<', page))

    assert found == [str(number) for number in range(120, 0, -1)]
    assert "agent:bot" in ana.words


@pytest.mark.parametrize("path", ["/ai?cursor=x", "/audit?of=x", "/audit?before=x", "/audit?before=-1"])
async def test_a_place_nobody_gave_has_no_page(ana: Browser, path: str) -> None:
    assert (await ana.get(path)).status_code == 404


async def test_figures_are_counted_at_most_a_minute_ago_and_say_when(ana: Browser, house: House, time: Time) -> None:
    await ana.get("/dashboard")
    await house.desk.write(stored_ticket, now=NOON)
    time.now = NOON + MINUTE - 1
    await ana.get("/dashboard")
    kept = ana.words
    time.now = NOON + MINUTE
    await ana.get("/dashboard")

    assert "0 tickets came in" in kept
    assert "Counted 2026-11-21 12:00 UTC." in kept
    assert "1 tickets came in" in ana.words
    assert "Counted 2026-11-21 12:01 UTC." in ana.words


async def test_a_chart_over_time_says_its_peak_in_words(ana: Browser, house: House) -> None:
    for days in (0, 0, 1):
        await house.desk.write(stored_ticket, now=NOON, created_ms=NOON - days * DAY_MS)

    await ana.get("/dashboard")
    week = ana.page
    await ana.get("/dashboard?days=1")

    assert "Most on 2026-11-21: 2. One column a day, UTC; the last one is not over." in week
    assert 'aria-label="Tickets that came in: 2026-11-20 1, 2026-11-21 2"' in week
    assert "Most in the hour from 2026-11-21 12:00 UTC: 2." in ana.words


def test_each_step_of_a_period_has_its_count(conn: Connection) -> None:
    since = NOON - 3 * HOUR_MS
    for at in (since - 1, since, since + HOUR_MS - 1, NOON - 1, NOON):
        stored_ticket(conn, now=NOON, created_ms=at)

    found = volume.over_time(conn, since, NOON, step_ms=HOUR_MS)

    assert found == [(since, 2), (since + HOUR_MS, 0), (since + 2 * HOUR_MS, 1)]


def test_dollars_are_added_up_in_each_step(conn: Connection) -> None:
    _calls(conn)

    found = ledger.cost_over_time(conn, NOON - DAY_MS, NOON, step_ms=HOUR_MS)

    assert len(found) == 24
    assert [cost for _, cost in found if cost] == [29.5]  # all but the call at the period's very end


def test_the_columns_end_with_the_present_step() -> None:
    week, day = figures._steps(NOON + 1, 7), figures._steps(NOON + 1, 1)

    assert (week.until, (week.until - week.since) // week.step_ms) == (NOON + DAY_MS // 2, 7)
    assert (day.until, (day.until - day.since) // day.step_ms) == (NOON + HOUR_MS, 24)


def _member(service: str, host: str | None = None, *, last_ms: int = NOON) -> Member:
    return Member(
        fingerprint=service,
        alertname="Down",
        service=service,
        instance=None,
        host=host,
        summary="",
        change=None,
        severity="critical",
        status="firing",
        alerts=1,
        first_ms=NOON,
        last_ms=last_ms,
        why=None,
        also_explained_by=(),
        flags=(),
    )


@pytest.mark.parametrize(("span_ms", "labels"), [(0, 1), (2_999, 1), (3_000, 3)])
def test_a_storm_of_one_moment_has_one_time_on_its_axis(span_ms: int, labels: int) -> None:
    drawn = charts.storm([_member("cart"), _member("db", last_ms=NOON + span_ms)])

    assert len(drawn.ticks) == labels


def test_what_fired_at_the_likeliest_cause_is_marked_in_the_storm() -> None:
    drawn = charts.storm([_member("cart"), _member("db", "host-1"), _member("shop")], ["host-1"])

    assert [life.cause for life in drawn.lives] == [None, 1, None]
