"""Numbers over a period: volume, blockers and deadlines, what the language models cost, the written summary."""

from typing import NamedTuple

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from opspilot_mcp.clock import DAY_MS
from opspilot_mcp.console import charts
from opspilot_mcp.console.door import Turn
from opspilot_mcp.insights import attainment, blockers, ledger, summary, volume

_DAYS = ("1", "7", "30", "90")
_CALLS = 40


def _days(turn: Turn) -> int:
    value = turn.request.query_params.get("days", "7")
    if value not in _DAYS:
        raise HTTPException(404, "There is no such page.")
    return int(value)


class Board(NamedTuple):
    """What the dashboard counts."""

    volume: volume.Volume
    trends: blockers.Trends
    sla: attainment.Attainment


def board(conn: Connection, *, now: int, days: int) -> Board:
    """Return the period's figures, read at once."""
    since = now - days * DAY_MS
    return Board(
        volume.count(conn, since, now), blockers.trends(conn, now, days), attainment.sla(conn, since, now, now=now)
    )


async def show_dashboard(turn: Turn) -> Response:
    """GET /dashboard."""
    days = _days(turn)
    found = await turn.door.desk(board, now=turn.door.now(), days=days)
    tags = {one.name: one.count for one in found.trends.tags}
    before = {one.name: one.previous for one in found.trends.tags}
    drawn = {
        "category": charts.bars(found.volume.by_category),
        "priority": charts.bars(dict(sorted(found.volume.by_priority.items()))),
        "status": charts.bars(found.volume.by_status),
    }
    return await turn.draw(
        "dashboard.html", board=found, drawn=drawn, tags=charts.bars(tags, before), days=days, choices=_DAYS
    )


async def show_ai(turn: Turn) -> Response:
    """GET /ai: every call to a language model, dearest operation first."""
    days, now = _days(turn), turn.door.now()
    usage = await turn.door.desk(ledger.usage, now - days * DAY_MS, now)
    calls = await turn.door.desk(ledger.recent, _CALLS)
    today = await turn.door.desk(ledger.spent_today, now=now)
    return await turn.draw("ai.html", usage=usage, calls=calls, today=today, days=days, choices=_DAYS)


async def show_summary(turn: Turn) -> Response:
    """GET /summary: the executive summary, each number with the query behind it."""
    days = _days(turn)
    found = await turn.door.desk(summary.markdown, turn.door.now(), days)
    return await turn.draw("summary.html", found=found, days=days, choices=_DAYS)
