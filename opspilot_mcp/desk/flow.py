"""The ticket's whole walk: read -> decide -> route -> draft -> propose. And what the clock makes due on the way."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

from sqlalchemy import Connection, insert, select, update

from opspilot_mcp.clock import DAY_MS, HOUR_MS, MINUTE_MS
from opspilot_mcp.desk import learning, moves, paging, replies, routing, similar, sla, tickets, triage
from opspilot_mcp.desk.learning import Score
from opspilot_mcp.desk.similar import Hint
from opspilot_mcp.desk.tickets import Ticket
from opspilot_mcp.desk.triage import Reading, Triaged
from opspilot_mcp.engines import Brief, Draft, Engine, Letter, ReadAnswer, Taxonomy, templates
from opspilot_mcp.engines.templates import Macro
from opspilot_mcp.errors import NotAllowed
from opspilot_mcp.policy import Policy
from opspilot_mcp.store import audit, ids
from opspilot_mcp.store.db import Db
from opspilot_mcp.store.ledger import AiCall, record
from opspilot_mcp.store.schema import proposals as proposal_rows
from opspilot_mcp.store.schema import replies as reply_rows
from opspilot_mcp.store.schema import sweeps
from opspilot_mcp.store.schema import tickets as ticket_rows

SWEEP_EVERY_MS = MINUTE_MS
CLOCK = "clock"  # the actor of what nobody did but the time
_BATCH = 100
_SWEEP_LIMIT = 200


class Desk(Protocol):
    """What the walk needs of its caller: the App, or a test's few lines."""

    db: Db
    policy: Policy
    principal: str

    @property
    def engine(self) -> Engine | None: ...

    def now(self) -> int: ...


async def triage_batch(desk: Desk, ticket_ids: Sequence[str]) -> AsyncIterator[list[Triaged]]:
    """Read, decide and route tickets, up to 100 a transaction; yields each batch when it is stored."""
    for start in range(0, len(ticket_ids), _BATCH):
        seen = await desk.db.read(read_all, ticket_ids[start : start + _BATCH], policy=desk.policy)
        if desk.engine is not None:
            seen = await _ask_where_uncertified(desk.engine, seen, desk.policy)
        yield await desk.db.write(apply_all, seen, policy=desk.policy, actor=desk.principal, now=desk.now())


class Seen(NamedTuple):
    """A ticket with what the local readers made of it, before anything is learnt from it."""

    ticket: Ticket
    reading: Reading
    scored: Score
    took_ms: float
    wants_model: bool  # not certified, and a model's word on the category could help
    hint: Hint | None


def read_all(conn: Connection, ticket_ids: Sequence[str], *, policy: Policy) -> list[Seen]:
    """Return what the local readers make of tickets. Changes nothing."""
    state = learning.load(conn, policy)
    return [_read_one(conn, tickets.get(conn, ticket_id), state, policy) for ticket_id in ticket_ids]


def _read_one(conn: Connection, ticket: Ticket, state: learning.State, policy: Policy) -> Seen:
    started = time.perf_counter()
    plain, found = triage.read(ticket.subject, ticket.body, policy), similar.near(conn, ticket)
    scored = learning.score(conn, ticket, state, stated=plain.stated, found=found)
    reading = triage.taught(plain, scored)
    hint = similar.duplicate_of(conn, ticket, found)
    took_ms = (time.perf_counter() - started) * 1000
    asks = ticket.triaged_ms is None and triage.wants_model(
        reading, policy, state=state, scored=scored, ticket_id=ticket.id
    )
    return Seen(ticket, reading, scored, took_ms, asks, hint)


async def _ask_where_uncertified(engine: Engine, seen: Sequence[Seen], policy: Policy) -> list[Seen]:
    """Return the readings, those no certificate covers read again by the engine; it limits its own pace."""

    async def second(one: Seen) -> Seen:
        if not one.wants_model:
            return one
        return answered(one, await engine.read(letter(one.ticket, policy), taxonomy(policy)))

    return await asyncio.gather(*(second(one) for one in seen))


def answered(one: Seen, answer: ReadAnswer) -> Seen:
    """Return what was seen with a model's answer taken in; unchanged where it had none."""
    if answer.reading is None:
        return one
    return one._replace(reading=triage.merged(one.reading, answer.reading, model=answer.usage.model))


def taxonomy(policy: Policy) -> Taxonomy:
    """Return the desk's words for a model."""
    return Taxonomy(categories={name: name.replace("_", " ") for name in policy.desk.categories})


def letter(ticket: Ticket, policy: Policy) -> Letter:
    """Return a ticket as an engine sees it."""
    return Letter(
        ticket=ticket.id,
        subject=ticket.subject,
        body=ticket.body,
        requester_name=ticket.requester_name or "",
        is_masked=policy.engine.masked,
    )


def apply_all(conn: Connection, seen: Sequence[Seen], *, policy: Policy, actor: str, now: int) -> list[Triaged]:
    """Decide and route tickets that were read; the score each came with is frozen beside the decision."""
    state = learning.founded(conn, policy)
    return [
        triage.apply(
            conn,
            one.ticket.id,
            one.reading,
            one.scored,
            state=state,
            hint=one.hint,
            latency_ms=one.took_ms,
            policy=policy,
            actor=actor,
            now=now,
        )
        for one in seen
    ]


async def draft(desk: Desk, ticket_id: str, body: str | None, *, macros: Sequence[Macro]) -> Draft:
    """Write a draft on a ticket: the caller's own `body`, an engine's, or the macro that fits, scoped to its SLA."""
    ticket = await desk.db.read(tickets.get, ticket_id)
    started = time.perf_counter()
    brief = _brief(ticket, desk.policy)
    made = Draft(body=body, engine="agent") if body is not None else await _asked(desk, ticket, brief)
    made = made or templates.fill(macros, letter(ticket, desk.policy), brief)
    took = (time.perf_counter() - started) * 1000
    await desk.db.write(_keep_draft, ticket, made, latency_ms=took, actor=desk.principal, now=desk.now())
    return made


async def _asked(desk: Desk, ticket: Ticket, brief: Brief) -> Draft | None:
    """Return the engine's draft; None without an engine, or when it had none, which the ledger then says."""
    return (await desk.engine.draft(letter(ticket, desk.policy), brief)).draft if desk.engine is not None else None


def _brief(ticket: Ticket, policy: Policy) -> Brief:
    priority = ticket.priority or "P3"
    promise = policy.sla[priority]
    first, resolution = promise.first_response_minutes, promise.resolution_minutes
    if promise.calendar is not None:
        due = sla.targets(ticket.created_ms, priority, policy)
        first = _told(due.first_response_due_ms - ticket.created_ms)
        resolution = _told(due.resolution_due_ms - ticket.created_ms)
    return Brief(
        category=ticket.category, priority=priority, first_response_minutes=first, resolution_minutes=resolution
    )


def _told(span_ms: int) -> int:
    """Return a span as a customer is told it, in minutes: theirs is the clock on the wall, and no promise is shortened.

    Whole hours, from two days on whole days.
    """
    unit = HOUR_MS if span_ms < 2 * DAY_MS else DAY_MS
    return -(-span_ms // unit) * unit // MINUTE_MS


def _keep_draft(conn: Connection, ticket: Ticket, made: Draft, *, latency_ms: float, actor: str, now: int) -> None:
    replies.save_draft(conn, ticket.id, made.body, engine=made.engine, actor=actor, now=now)
    # What the agent wrote is no call of ours, and a paid engine has kept its own books.
    if made.engine.startswith("macro:"):
        call = AiCall(
            at_ms=now,
            operation="draft",
            subject=ticket.id,
            engine=templates.ENGINE,
            model=made.engine,
            latency_ms=round(latency_ms, 3),
        )
        record(conn, call)


# -- what the clock makes due -----------------------------------------------------------------------------------------


def sweep(conn: Connection, *, policy: Policy, now: int) -> bool:
    """Do what has fallen due, at most once a minute over all processes; True when this call did it.

    Takes delivered answers into their threads, and lets each breached ticket climb one tier.
    """
    if not _my_turn(conn, now=now):
        return False
    absorb_sent(conn, policy=policy, now=now)
    climb_breached(conn, policy=policy, now=now)
    return True


def _my_turn(conn: Connection, *, now: int) -> bool:
    moved = conn.execute(
        update(sweeps).where(sweeps.c.name == "desk", sweeps.c.ran_ms <= now - SWEEP_EVERY_MS).values(ran_ms=now)
    ).rowcount
    if moved == 1:
        return True
    if conn.execute(select(sweeps.c.name).where(sweeps.c.name == "desk")).first() is not None:
        return False
    conn.execute(insert(sweeps).values(name="desk", ran_ms=now))
    return True


def absorb_sent(conn: Connection, *, policy: Policy, now: int) -> int:
    """Take answers the gate reports as sent into their tickets: thread, first response, waiting on the customer."""
    rows = conn.execute(
        select(proposal_rows)
        .where(
            proposal_rows.c.outcome == "sent", proposal_rows.c.absorbed_ms.is_(None), proposal_rows.c.kind == "reply"
        )
        .limit(_SWEEP_LIMIT)
    ).all()
    for row in rows:
        conn.execute(update(proposal_rows).where(proposal_rows.c.id == row.id).values(absorbed_ms=now))
        sent_ms = row.outcome_ms or now
        ticket = tickets.get(conn, row.subject)
        body = row.sent_body or row.body
        conn.execute(
            insert(reply_rows).values(
                ticket_id=ticket.number, direction="out", body=body, at_ms=sent_ms, proposal_id=row.id
            )
        )
        values: dict[str, object] = {"responded_ms": ticket.responded_ms or sent_ms}
        if ticket.status in ("open", "in_review", "human_review", "escalated"):
            values |= moves.status_values(ticket, "pending", policy=policy, now=sent_ms)
        tickets.change(conn, ticket, values, now=now)
        audit.record(conn, CLOCK, "ticket.answered", ticket.id, now=now, detail={"proposal": ids.shown("PR", row.id)})
    return len(rows)


def climb_breached(conn: Connection, *, policy: Policy, now: int) -> int:
    """Let every triaged ticket whose next promise has passed climb one tier, once a promise. Returns how many did.

    At L3, where no tier is left, a page is proposed to the on-call channel: a person must sign it.
    """
    rows = (
        conn.execute(
            select(ticket_rows.c.id)
            .where(
                ticket_rows.c.queue_key <= now,
                ticket_rows.c.triaged_ms.is_not(None),
                ~ticket_rows.c.breached.contains("resolution"),
                (ticket_rows.c.responded_ms.is_not(None)) | (ticket_rows.c.breached == ""),
            )
            .order_by(ticket_rows.c.queue_key)
            .limit(_SWEEP_LIMIT)
        )
        .scalars()
        .all()
    )
    for number in rows:
        ticket = tickets.get(conn, ids.shown("T", number))
        at_top = routing.next_tier(ticket.tier) is None
        climbed = routing.climb(conn, ticket, actor=CLOCK, why="breach", now=now, breached=ticket.next_target)
        if at_top and climbed is not None:
            _page_breach(conn, climbed, policy=policy, now=now)
    return len(rows)


def _page_breach(conn: Connection, ticket: Ticket, *, policy: Policy, now: int) -> None:
    if paging.CHANNEL not in policy.channels:
        return
    target = ticket.next_target
    told = f"It missed its {target.replace('_', ' ')} target and no tier is left above it."
    try:
        paging.propose(
            conn,
            ticket,
            told,
            channel=paging.CHANNEL,
            actor=CLOCK,
            policy=policy,
            now=now,
            idempotency_key=f"breach:{ticket.id}:{target}",
        )
    except NotAllowed:
        # The hour's proposals are used up: the timeline holds the breach, and people already have a full inbox.
        audit.record(conn, CLOCK, "page.not_proposed", ticket.id, now=now, detail={"why": "proposals_per_hour"})
