"""Every reading and draft with what it took: engine, model, tokens, dollars, latency and how it ended.

A call that costs money is written at its worst price before it is made (`reserve`) and corrected afterwards
(`settle`). A process that dies in between leaves the worst price in the ledger: the daily budget fails closed.
"""

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Connection, bindparam, case, func, insert, literal_column, select, update

from opspilot_mcp.clock import DAY_MS
from opspilot_mcp.engines import Usage
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.insights.volume import shown
from opspilot_mcp.store.db import Db
from opspilot_mcp.store.ledger import AiCall, record
from opspilot_mcp.store.schema import ai_calls

__all__ = ["AiCall", "AiUsage", "DeskPurse", "Line", "recent", "record", "reserve", "settle", "spent_today", "usage"]

RESERVED = "reserved"
_MAX_ROWS = 500
_IN_PERIOD = (ai_calls.c.at_ms > bindparam("since"), ai_calls.c.at_ms <= bindparam("until"))
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

    def __init__(self, db: Db, clock: Callable[[], int], *, daily_usd: float, engine: str = "anthropic") -> None:
        self._db, self._clock, self._daily_usd, self._engine = db, clock, daily_usd, engine

    async def reserve(self, operation: str, subject: str, model: str, worst_usd: float) -> int | None:
        worst = {"engine": self._engine, "model": model, "cost_usd": worst_usd, "latency_ms": 0.0}
        return await self._db.write(reserve, self._row(operation, subject, worst), daily_usd=self._daily_usd)

    async def settle(self, receipt: int, usage: Usage) -> None:
        await self._db.write(settle, receipt, usage)

    async def note(self, operation: str, subject: str, usage: Usage) -> None:
        await self._db.write(record, self._row(operation, subject, usage.model_dump()))

    def _row(self, operation: str, subject: str, took: dict[str, object]) -> AiCall:
        return AiCall.model_validate({"at_ms": self._clock(), "operation": operation, "subject": subject, **took})


# -- reading -----------------------------------------------------------------------------------------------------------

_PLACED = (
    select(
        ai_calls,
        func.row_number().over(partition_by=_GROUP, order_by=ai_calls.c.latency_ms).label("place"),
        func.count().over(partition_by=_GROUP).label("of"),
    )
    .where(*_IN_PERIOD)
    .subquery()
)


def _percentile(percent: int) -> ColumnElement[float]:
    # Nearest rank: place ceil(p * n), in whole numbers so that SQLite and Postgres agree.
    rank = (_PLACED.c.of * literal_column(str(percent)) + literal_column("99")) // literal_column("100")
    return func.max(case((_PLACED.c.place == rank, _PLACED.c.latency_ms))).label(f"p{percent}")


_LINES = select(
    _PLACED.c.operation,
    _PLACED.c.engine,
    _PLACED.c.model,
    func.count().label("calls"),
    func.count(_PLACED.c.subject.distinct()).label("tickets"),
    *(func.sum(_PLACED.c[name]).label(name) for name in ("input_tokens", "output_tokens", "cached_tokens", "cost_usd")),
    func.avg(_PLACED.c.latency_ms).label("average"),
    _percentile(50),
    _percentile(95),
).group_by(_PLACED.c.operation, _PLACED.c.engine, _PLACED.c.model)
_OUTCOMES = (
    select(*_GROUP, ai_calls.c.outcome, func.count().label("calls"))
    .where(*_IN_PERIOD)
    .group_by(*_GROUP, ai_calls.c.outcome)
    .order_by(func.count().desc(), ai_calls.c.outcome)
)
_SUBJECTS = select(func.count(ai_calls.c.subject.distinct())).where(*_IN_PERIOD)


def usage(conn: Connection, since_ms: int, until_ms: int) -> AiUsage:
    """Return what the calls in `(since, until]` took, a line for each operation and model."""
    period = {"since": since_ms, "until": until_ms}
    outcomes: dict[tuple[str, str, str], dict[str, int]] = {}
    for row in conn.execute(_OUTCOMES, period):
        outcomes.setdefault((row.operation, row.engine, row.model), {})[row.outcome] = row.calls
    lines = [_line(dict(row), outcomes) for row in conn.execute(_LINES, period).mappings()]
    lines.sort(key=lambda line: (-line.cost_usd, -line.calls, line.operation, line.model))
    tickets, cost = conn.execute(_SUBJECTS, period).scalar_one(), sum(line.cost_usd for line in lines)
    return AiUsage(
        since_ms=since_ms,
        until_ms=until_ms,
        calls=sum(line.calls for line in lines),
        tickets=tickets,
        cost_usd=cost,
        cost_per_ticket_usd=cost / tickets if tickets else 0.0,
        lines=tuple(lines),
    )


def _line(row: dict[str, object], outcomes: dict[tuple[str, str, str], dict[str, int]]) -> Line:
    key = (str(row["operation"]), str(row["engine"]), str(row["model"]))
    cost, tickets = float(str(row["cost_usd"])), int(str(row["tickets"]))
    return Line.model_validate(
        {
            **row,
            "model": shown(key[2]),
            "cost_per_ticket_usd": cost / tickets,
            "latency_avg_ms": row["average"],
            "latency_p50_ms": row["p50"],
            "latency_p95_ms": row["p95"],
            "outcomes": outcomes[key],
        }
    )


def recent(conn: Connection, limit: int = 20) -> list[AiCall]:
    """Return the newest `limit` calls, newest first."""
    if not 1 <= limit <= _MAX_ROWS:
        raise InvalidInput(f"limit is {limit}. Use 1 to {_MAX_ROWS}.")
    rows = conn.execute(select(ai_calls).order_by(ai_calls.c.at_ms.desc(), ai_calls.c.id.desc()).limit(limit))
    return [AiCall.model_validate(dict(row)) for row in rows.mappings()]
