"""Tools for numbers: each comes from SQL, with the ids or the query behind it. No model is asked."""

from typing import Annotated

from fastmcp import Context
from pydantic import Field
from sqlalchemy import Connection

from opspilot_mcp.clock import DAY_MS, iso
from opspilot_mcp.desk import learning
from opspilot_mcp.insights import attainment, blockers, ledger, summary, volume
from opspilot_mcp.policy import Policy
from opspilot_mcp.tools import untrusted
from opspilot_mcp.tools.protocol import Answer, Spec, app_of

Days = Annotated[int, Field(description="Length of the period, ending now", ge=1, le=366)]


class Attained(Answer):
    """One promise over a period: counts of tickets, by priority."""

    met: int
    missed: int
    running: int
    by_priority: dict[str, dict[str, int]]


class StatsAnswer(Answer):
    since: str
    until: str
    total: int
    by_category: dict[str, int]
    by_status: dict[str, int]
    by_priority: dict[str, int]
    by_tier: dict[str, int]
    by_sentiment: dict[str, int]
    open_backlog: int
    untriaged: int
    certificate: str
    p1_net: str
    first_response: Attained
    resolution: Attained


class BlockerRow(Answer):
    untrusted_name: str
    count: int
    previous: int
    tickets: list[str]
    left_out: int | None


class BlockersAnswer(Answer):
    since: str
    until: str
    previous_since: str
    tags: list[BlockerRow]
    categories: list[BlockerRow]
    left_out: int | None


class UsageRow(Answer):
    operation: str
    engine: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_usd: float
    latency_avg_ms: float
    latency_p95_ms: float
    outcomes: dict[str, int]


class UsageAnswer(Answer):
    since: str
    until: str
    calls: int
    tickets: int
    cost_usd: float
    cost_per_ticket_usd: float
    by_operation: list[UsageRow]


class FigureRow(Answer):
    number: str
    untrusted_label: str
    query: str
    ids: list[str] | None


class SummaryAnswer(Answer):
    since: str
    until: str
    untrusted_markdown: str  # our sentences; the names of tags in them are strangers' words
    figures: list[FigureRow] | None


async def desk_stats(ctx: Context, days: Days = 7) -> StatsAnswer:
    """Volume by category, status, priority, tier and sentiment, the backlog, how the SLA was kept, and what triage
    promises: its certificate and the P1 net's price."""
    app = app_of(ctx)
    return await app.read(_stats, days, policy=app.policy, now=app.now())


def _stats(conn: Connection, days: int, *, policy: Policy, now: int) -> StatsAnswer:
    counted = volume.count(conn, now - days * DAY_MS, now)
    kept = attainment.sla(conn, now - days * DAY_MS, now, now=now)
    learnt = learning.load(conn, policy)
    return StatsAnswer(
        **counted.model_dump(
            include={
                "total",
                "by_category",
                "by_status",
                "by_priority",
                "by_tier",
                "by_sentiment",
                "open_backlog",
                "untriaged",
            }
        ),
        since=iso(counted.since_ms),
        until=iso(counted.until_ms),
        certificate=learnt.gate.words(),
        p1_net=learnt.p1.words(),
        first_response=Attained.model_validate(kept.first_response.model_dump()),
        resolution=Attained.model_validate(kept.resolution.model_dump()),
    )


async def blocker_trends(
    ctx: Context, days: Days = 7, limit: Annotated[int, Field(ge=1, le=50)] = 10
) -> BlockersAnswer:
    """What keeps coming back: tags and categories of at least two tickets, this period against the last, with ids."""
    app = app_of(ctx)
    found = await app.read(blockers.trends, app.now(), days=days, limit=limit)
    return BlockersAnswer(
        since=iso(found.since_ms),
        until=iso(found.until_ms),
        previous_since=iso(found.previous_since_ms),
        tags=[_blocker(one) for one in found.tags],
        categories=[_blocker(one) for one in found.categories],
        left_out=(found.more_tags + found.more_categories) or None,
    )


def _blocker(one: blockers.Blocker) -> BlockerRow:
    return BlockerRow(
        untrusted_name=untrusted.line(one.name, 40) or "",
        count=one.count,
        previous=one.previous,
        tickets=list(one.tickets),
        left_out=one.left_out or None,
    )


async def ai_usage(ctx: Context, days: Days = 7) -> UsageAnswer:
    """Every reading and draft by operation and model: calls, tokens, cost, latency, outcomes. Local ones cost 0."""
    app = app_of(ctx)
    now = app.now()
    found = await app.read(ledger.usage, now - days * DAY_MS, now)
    return UsageAnswer(
        since=iso(found.since_ms),
        until=iso(found.until_ms),
        calls=found.calls,
        tickets=found.tickets,
        cost_usd=found.cost_usd,
        cost_per_ticket_usd=found.cost_per_ticket_usd,
        by_operation=[
            UsageRow.model_validate(line.model_dump(include=set(UsageRow.model_fields))) for line in found.lines
        ],
    )


async def executive_summary(
    ctx: Context,
    days: Days = 7,
    figures: Annotated[bool, Field(description="Also the query behind each number")] = False,
) -> SummaryAnswer:
    """A summary for management as Markdown, written without a model: every number in it comes from a query."""
    app = app_of(ctx)
    made = await app.read(summary.markdown, app.now(), days=days)
    rows = [
        FigureRow(number=one.number, untrusted_label=one.label, query=one.query, ids=list(one.ids) or None)
        for one in made.figures
    ]
    return SummaryAnswer(
        since=iso(made.since_ms),
        until=iso(made.until_ms),
        untrusted_markdown=made.markdown,
        figures=rows if figures else None,
    )


TOOLS = (
    Spec(desk_stats, StatsAnswer, "READ", "both"),
    Spec(blocker_trends, BlockersAnswer, "READ", "desk"),
    Spec(ai_usage, UsageAnswer, "READ", "both"),
    Spec(executive_summary, SummaryAnswer, "READ", "both"),
)
