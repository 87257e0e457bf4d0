"""Every reading and draft with what it took: engine, model, tokens, dollars, latency and how it ended.

A call that costs money is written at its worst price before it is made (`reserve`) and corrected afterwards
(`settle`). A process that dies in between leaves the worst price in the ledger: the daily budget fails closed.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, bindparam, func, insert, select, update

from opspilot_mcp.clock import DAY_MS
from opspilot_mcp.engines import Usage
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.insights.volume import shown
from opspilot_mcp.store.db import Db
from opspilot_mcp.store.ledger import AiCall, record
from opspilot_mcp.store.schema import ai_calls

__all__ = [
    "AiCall",
    "AiUsage",
    "DeskPurse",
    "Line",
    "cost_over_time",
    "page",
    "recent",
    "record",
    "reserve",
    "settle",
    "spent_today",
    "usage",
]

RESERVED = "reserved"
_MAX_ROWS = 500
_IN_PERIOD = (ai_calls.c.at_ms > bindparam("since"), ai_calls.c.at_ms <= bindparam("until"))
_SUMMED = ("input_tokens", "output_tokens", "cached_tokens", "cost_usd")
_GROUP = (ai_calls.c.operation, ai_calls.c.engine, ai_calls.c.model)


class Line(BaseModel):
    """What one operation took on one model. Latencies in ms, percentiles by nearest rank."""

    model_config = ConfigDict(frozen=True)

    operation: str
    engine: str
    model: str
    calls: int
    tickets: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_usd: float
    cost_per_ticket_usd: float
    latency_avg_ms: float
    latency_p50_ms: float
    latency_p95_ms: float
    outcomes: dict[str, int]


class AiUsage(BaseModel):
    """A period's ledger, dearest line first. `tickets` counts each subject once, whatever was asked about it."""

    model_config = ConfigDict(frozen=True)

    since_ms: int
    until_ms: int
    calls: int
    tickets: int
    cost_usd: float
    cost_per_ticket_usd: float
    lines: tuple[Line, ...]


_SPENT = select(func.coalesce(func.sum(ai_calls.c.cost_usd), 0.0)).where(ai_calls.c.at_ms >= bindparam("since"))


def spent_today(conn: Connection, *, now: int) -> float:
    """Return the dollars of the present UTC day, reservations included."""
    spent: float = conn.execute(_SPENT, {"since": now - now % DAY_MS}).scalar_one()
    return spent


def reserve(conn: Connection, call: AiCall, *, daily_usd: float) -> int | None:
    """Write `call` at its worst price and return its number, or None when the day's budget does not cover it."""
    if spent_today(conn, now=call.at_ms) + call.cost_usd > daily_usd:
        return None
    row = call.model_copy(update={"outcome": RESERVED}).model_dump()
    number: int = conn.execute(insert(ai_calls).values(**row).returning(ai_calls.c.id)).scalar_one()
    return number


def settle(conn: Connection, number: int, usage: Usage) -> bool:
    """Replace a reservation by what the call really took; False when it was settled before."""
    settled = conn.execute(
        update(ai_calls).where(ai_calls.c.id == number, ai_calls.c.outcome == RESERVED).values(**usage.model_dump())
    )
    return settled.rowcount == 1


class DeskPurse:
    """The engines' purse over the desk's ledger. `clock` is `clock.now_ms`."""

    def __init__(self, db: Db, clock: Callable[[], int], *, daily_usd: float) -> None:
        self._db, self._clock, self._daily_usd = db, clock, daily_usd

    async def reserve(self, operation: str, subject: str, model: str, worst_usd: float) -> int | None:
        worst = {"engine": "anthropic", "model": model, "cost_usd": worst_usd, "latency_ms": 0.0}
        return await self._db.write(reserve, self._row(operation, subject, worst), daily_usd=self._daily_usd)

    async def settle(self, receipt: int, usage: Usage) -> None:
        await self._db.write(settle, receipt, usage)

    async def note(self, operation: str, subject: str, usage: Usage) -> None:
        await self._db.write(record, self._row(operation, subject, usage.model_dump()))

    def _row(self, operation: str, subject: str, took: dict[str, object]) -> AiCall:
        return AiCall.model_validate({"at_ms": self._clock(), "operation": operation, "subject": subject, **took})


# -- reading -----------------------------------------------------------------------------------------------------------

_CALLS = select(
    *_GROUP,
    ai_calls.c.subject,
    ai_calls.c.outcome,
    *(ai_calls.c[name] for name in _SUMMED),
    ai_calls.c.latency_ms,
).where(*_IN_PERIOD)


@dataclass
class _Taken:
    """What the calls of one group took so far."""

    subjects: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    sums: list[float] = field(default_factory=lambda: [0] * len(_SUMMED))
    latencies: list[float] = field(default_factory=list)


def usage(conn: Connection, since_ms: int, until_ms: int) -> AiUsage:
    """Return what the calls in `(since, until]` took, a line for each operation and model.

    One pass over the calls: windows and distinct counts over 100,000 of them cost SQLite three seconds.
    """
    groups: dict[tuple[str, str, str], _Taken] = {}
    for operation, engine, model, subject, outcome, *numbers, latency_ms in conn.execute(
        _CALLS, {"since": since_ms, "until": until_ms}
    ):
        taken = groups.setdefault((operation, engine, model), _Taken())
        taken.subjects.add(subject)
        taken.outcomes[outcome] += 1
        for at, number in enumerate(numbers):
            taken.sums[at] += number
        taken.latencies.append(latency_ms)
    lines = [_line(names, taken) for names, taken in groups.items()]
    lines.sort(key=lambda line: (-line.cost_usd, -line.calls, line.operation, line.model))
    tickets, cost = len(set().union(*(one.subjects for one in groups.values()))), sum(line.cost_usd for line in lines)
    return AiUsage(
        since_ms=since_ms,
        until_ms=until_ms,
        calls=sum(line.calls for line in lines),
        tickets=tickets,
        cost_usd=cost,
        cost_per_ticket_usd=cost / tickets if tickets else 0.0,
        lines=tuple(lines),
    )


def _percentile(ascending: Sequence[float], percent: int) -> float:
    """Return the percentile by nearest rank: place ceil(p * n)."""
    return ascending[-(-len(ascending) * percent // 100) - 1]


def _line(names: tuple[str, str, str], taken: _Taken) -> Line:
    latencies = sorted(taken.latencies)
    sums = dict(zip(_SUMMED, taken.sums, strict=True))
    return Line(
        operation=names[0],
        engine=names[1],
        model=shown(names[2]),
        calls=len(latencies),
        tickets=len(taken.subjects),
        input_tokens=int(sums["input_tokens"]),
        output_tokens=int(sums["output_tokens"]),
        cached_tokens=int(sums["cached_tokens"]),
        cost_usd=sums["cost_usd"],
        cost_per_ticket_usd=sums["cost_usd"] / len(taken.subjects),
        latency_avg_ms=sum(latencies) / len(latencies),
        latency_p50_ms=_percentile(latencies, 50),
        latency_p95_ms=_percentile(latencies, 95),
        outcomes=dict(sorted(taken.outcomes.items(), key=lambda one: (-one[1], one[0]))),
    )


class CallPage(NamedTuple):
    """Calls, newest first, and where to go on."""

    calls: list[AiCall]
    next_cursor: str | None


_NEWEST = select(ai_calls).order_by(ai_calls.c.at_ms.desc(), ai_calls.c.id.desc()).limit(bindparam("most"))
_OLDER = _NEWEST.where(
    (ai_calls.c.at_ms < bindparam("at")) | ((ai_calls.c.at_ms == bindparam("at")) & (ai_calls.c.id < bindparam("id")))
)
_CURSOR = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})", re.ASCII)


def page(conn: Connection, *, cursor: str | None = None, limit: int = 50) -> CallPage:
    """Return one page of all calls. Raises InvalidInput for a cursor this function did not make."""
    place = _CURSOR.fullmatch(cursor) if cursor is not None else None
    if cursor is not None and place is None:
        raise InvalidInput("The cursor is not one of ours. Pass next_cursor of the page before, or leave it out.")
    values = {"most": limit + 1} | ({"at": int(place[1]), "id": int(place[2])} if place else {})
    rows = conn.execute(_OLDER if place else _NEWEST, values).mappings().all()
    last = rows[limit - 1] if len(rows) > limit else None
    return CallPage(
        [AiCall.model_validate(dict(row)) for row in rows[:limit]],
        f"{last['at_ms']}.{last['id']}" if last else None,
    )


_COST_STEP = (ai_calls.c.at_ms - bindparam("since")) // bindparam("step")
_COST_OVER_TIME = (
    select(_COST_STEP.label("at"), func.sum(ai_calls.c.cost_usd).label("cost"))
    .where(ai_calls.c.at_ms >= bindparam("since"), ai_calls.c.at_ms < bindparam("until"))
    .group_by(_COST_STEP)
)


def cost_over_time(conn: Connection, since_ms: int, until_ms: int, *, step_ms: int) -> list[tuple[int, float]]:
    """Return (start, dollars) for each step of `[since, until)`, oldest first, those without a call too."""
    period = {"since": since_ms, "until": until_ms, "step": step_ms}
    spent = {row.at: row.cost for row in conn.execute(_COST_OVER_TIME, period)}
    return [(start, spent.get(at, 0.0)) for at, start in enumerate(range(since_ms, until_ms, step_ms))]


def recent(conn: Connection, limit: int = 20) -> list[AiCall]:
    """Return the newest `limit` calls, newest first."""
    if not 1 <= limit <= _MAX_ROWS:
        raise InvalidInput(f"limit is {limit}. Use 1 to {_MAX_ROWS}.")
    rows = conn.execute(select(ai_calls).order_by(ai_calls.c.at_ms.desc(), ai_calls.c.id.desc()).limit(limit))
    return [AiCall.model_validate(dict(row)) for row in rows.mappings()]
