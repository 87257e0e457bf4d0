"""Numbers over a period: volume, blockers and deadlines, what the language models cost, the written summary."""

from typing import Generic, NamedTuple, Protocol, TypeVar, cast

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from opspilot_mcp.clock import DAY_MS, HOUR_MS, MINUTE_MS
from opspilot_mcp.console import charts
from opspilot_mcp.console.door import Turn
from opspilot_mcp.insights import attainment, blockers, ledger, summary, volume

_DAYS = ("1", "7", "30", "90")
KEPT_MS = MINUTE_MS
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Count(Protocol[T_co]):
    """A reading room function over the `days` before `now`."""

    def __call__(self, conn: Connection, /, *, now: int, days: int) -> T_co: ...


_CALLS = 50


def _days(turn: Turn) -> int:
    value = turn.request.query_params.get("days", "7")
    if value not in _DAYS:
        raise HTTPException(404, "There is no such page.")
    return int(value)


class Counted(NamedTuple, Generic[T]):
    """Figures and the instant they were counted at."""

    figures: T
    at_ms: int


async def counted(turn: Turn, name: str, count: Count[T], days: int) -> Counted[T]:
    """Return a period's figures, counted at most a minute ago."""
    now, kept = turn.door.now(), turn.door.counted
    at_ms, figures = kept.get((name, days), (None, None))
    if at_ms is None or not at_ms <= now < at_ms + KEPT_MS:
        at_ms, figures = now, await turn.door.count(count, now=now, days=days)
        kept[name, days] = (at_ms, figures)
    return Counted(cast(T, figures), at_ms)


class Board(NamedTuple):
    """What the dashboard counts."""

    volume: volume.Volume
    trends: blockers.Trends
    sla: attainment.Attainment
    over_time: list[tuple[int, int]]


class Steps(NamedTuple):
    """A chart's columns: whole hours of a day, or whole days, UTC; the last is the present one."""

    since: int
    until: int
    step_ms: int


def _steps(now: int, days: int) -> Steps:
    step = HOUR_MS if days == 1 else DAY_MS
    until = (now // step + 1) * step
    return Steps(until - days * DAY_MS, until, step)


def board(conn: Connection, *, now: int, days: int) -> Board:
    """Return the period's figures, read at once."""
    since, steps = now - days * DAY_MS, _steps(now, days)
    return Board(
        volume.count(conn, since, now),
        blockers.trends(conn, now, days),
        attainment.sla(conn, since, now, now=now),
        volume.over_time(conn, steps.since, steps.until, step_ms=steps.step_ms),
    )


async def show_dashboard(turn: Turn) -> Response:
    """GET /dashboard."""
    days = _days(turn)
    found, at_ms = await counted(turn, "board", board, days)
    tags = {one.name: one.count for one in found.trends.tags}
    before = {one.name: one.previous for one in found.trends.tags}
    drawn = {
        "category": charts.bars(found.volume.by_category),
        "priority": charts.bars(dict(sorted(found.volume.by_priority.items()))),
        "status": charts.bars(found.volume.by_status),
    }
    return await turn.draw(
        "dashboard.html",
        board=found,
        drawn=drawn,
        time=charts.columns(found.over_time, _steps(at_ms, days).step_ms),
        tags=charts.bars(tags, before),
        at_ms=at_ms,
        days=days,
        choices=_DAYS,
    )


class Spending(NamedTuple):
    """What the AI calls of a period took, and dollars over time."""

    usage: ledger.AiUsage
    over_time: list[tuple[int, float]]
    today: float


def spending(conn: Connection, *, now: int, days: int) -> Spending:
    """Return the ledger's figures, read at once."""
    since, steps = now - days * DAY_MS, _steps(now, days)
    return Spending(
        ledger.usage(conn, since, now),
        ledger.cost_over_time(conn, steps.since, steps.until, step_ms=steps.step_ms),
        ledger.spent_today(conn, now=now),
    )


async def show_ai(turn: Turn) -> Response:
    """GET /ai: every call to a language model, dearest operation first; the list itself is never an older one."""
    days = _days(turn)
    cursor = turn.request.query_params.get("cursor")
    page = await turn.door.desk(ledger.page, cursor=cursor, limit=_CALLS)
    found, at_ms = await counted(turn, "spending", spending, days)
    time = charts.columns(found.over_time, _steps(at_ms, days).step_ms)
    return await turn.draw(
        "ai.html", page=page, days=days, choices=_DAYS, cursor=cursor, time=time, at_ms=at_ms, **found._asdict()
    )


async def show_summary(turn: Turn) -> Response:
    """GET /summary: the executive summary, each number with the query behind it."""
    days = _days(turn)
    found, at_ms = await counted(turn, "summary", _summary, days)
    return await turn.draw("summary.html", found=found, at_ms=at_ms, days=days, choices=_DAYS)


def _summary(conn: Connection, *, now: int, days: int) -> summary.Summary:
    return summary.markdown(conn, now, days)
