"""Tools for tickets: read the queue, triage, draft, escalate. None of them reaches anybody outside."""

from typing import Annotated, Literal

from fastmcp import Context
from pydantic import Field
from sqlalchemy import Connection

from opspilot_mcp import proposals
from opspilot_mcp.desk import flow, learning, moves, queue, similar, tickets
from opspilot_mcp.desk.moves import Changes
from opspilot_mcp.desk.queue import QueueFilter
from opspilot_mcp.desk.tickets import NewTicket
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.insights import impact
from opspilot_mcp.policy import Policy
from opspilot_mcp.store import ids
from opspilot_mcp.tools import answers, untrusted
from opspilot_mcp.tools.answers import (
    ChangeAnswer,
    DraftAnswer,
    QueueAnswer,
    SearchAnswer,
    TicketAnswer,
    TriageAnswer,
)
from opspilot_mcp.tools.protocol import Spec, app_of

TicketId = Annotated[str, Field(description="Like T-17", max_length=20)]
Version = Annotated[int | None, Field(description="The version you read; refused if it changed since", ge=1)]
Key = Annotated[str | None, Field(description="Same key, same answer: safe to repeat", min_length=1, max_length=128)]
StatusName = Literal["open", "in_review", "human_review", "escalated", "pending", "resolved", "closed"]
PriorityName = Literal["P1", "P2", "P3", "P4"]
Limit = Annotated[int, Field(ge=1, le=100)]


async def list_open_tickets(
    ctx: Context,
    status: StatusName | None = None,
    priority: PriorityName | None = None,
    category: Annotated[str | None, Field(max_length=40)] = None,
    tier: Literal["L1", "L2", "L3", "human"] | None = None,
    assignee: Annotated[str | None, Field(max_length=80)] = None,
    untriaged: bool | None = None,
    limit: Limit = 20,
    cursor: Annotated[str | None, Field(max_length=40)] = None,
) -> QueueAnswer:
    """The queue, most at risk first: the ticket whose next SLA target falls due soonest on top, paused ones last.
    time_left is open time where the priority keeps business hours."""
    app = app_of(ctx)
    wanted = QueueFilter(
        status=status, priority=priority, category=category, tier=tier, assignee=assignee, untriaged=untriaged
    )
    page = await app.read(queue.page, wanted, cursor=cursor, limit=limit)
    return answers.queue_answer(page, policy=app.policy, now=app.now())


async def get_ticket(
    ctx: Context,
    ticket_id: TicketId,
    full: Annotated[bool, Field(description="Whole text, similar tickets, incidents that explain it or may")] = False,
) -> TicketAnswer:
    """One ticket: text, thread, draft, triage and why, clock, approvals."""
    app = app_of(ctx)
    return await app.read(ticket_page, ticket_id, full=full, policy=app.policy, now=app.now())


def ticket_page(conn: Connection, ticket_id: str, *, full: bool, policy: Policy, now: int) -> TicketAnswer:
    ticket = tickets.get(conn, ticket_id)
    shown = 50 if full else 5
    draft = tickets.latest_draft(conn, ticket.number)
    messages, left_out = tickets.thread(conn, ticket.number, limit=shown)
    return answers.ticket_answer(
        ticket,
        policy=policy,
        now=now,
        body_limit=20_000 if full else untrusted.BODY,
        why=tickets.latest_why(conn, ticket.number),
        thread=[*messages, *([draft] if draft else [])],
        thread_left_out=left_out,
        similar=similar.to_ticket(conn, ticket) if full else (),
        linked=impact.links_of_ticket(conn, ticket.id)[:5] if full else (),
        incidents=impact.incidents_of(conn, ticket.id, limit=3).suggestions if full else (),
        approvals=proposals.of_subject(conn, ticket.id, limit=5),
    )


async def search_tickets(
    ctx: Context,
    text: Annotated[str | None, Field(description="Words to look for", max_length=2000)] = None,
    similar_to: Annotated[str | None, Field(description="A ticket id instead of words", max_length=20)] = None,
    state: Literal["any", "open", "done"] = "any",
    limit: Annotated[int, Field(ge=1, le=50)] = 10,
) -> SearchAnswer:
    """Full text over open and resolved tickets, or the tickets nearest to one: for answers given before, duplicates."""
    if (text is None or not text.strip()) == (similar_to is None):
        raise InvalidInput("Give either text or similar_to.")
    app = app_of(ctx)
    return await app.read(_search, text, similar_to, state=state, limit=limit, policy=app.policy, now=app.now())


def _search(
    conn: Connection, words: str | None, similar_to: str | None, *, state: str, limit: int, policy: Policy, now: int
) -> SearchAnswer:
    statuses = {"any": (), "open": tuple(sorted(tickets.OPEN)), "done": ("resolved", "closed")}[state]
    exclude = None
    if similar_to is not None:
        ticket = tickets.get(conn, similar_to)
        words, exclude = f"{ticket.subject}\n{ticket.body[:2000]}", ticket.number
    found = similar.search(conn, words or "", limit=limit, statuses=statuses, exclude=exclude)
    return SearchAnswer(tickets=[answers.ticket_row(one, policy=policy, now=now) for one in found], found=len(found))


async def create_ticket(
    ctx: Context,
    subject: Annotated[str, Field(max_length=2000)],
    body: Annotated[str, Field(max_length=200_000)],
    requester_email: Annotated[str | None, Field(max_length=254)] = None,
    requester_name: Annotated[str | None, Field(max_length=200)] = None,
    tags: Annotated[list[str] | None, Field(max_length=20)] = None,
    idempotency_key: Key = None,
) -> ChangeAnswer:
    """Store a ticket. Its requester counts as unverified: an answer to them needs a stricter signature."""
    app = app_of(ctx)
    new = NewTicket(
        subject=subject,
        body=body,
        requester_email=requester_email,
        requester_name=requester_name,
        tags=tuple(tags or ()),
    )
    received = await app.write(
        tickets.receive,
        new,
        actor=app.principal,
        source="agent",
        verified=False,
        policy=app.policy,
        now=app.now(),
        idempotency_key=idempotency_key,
    )
    result = "applied" if received.is_new else "unchanged"
    return answers.change_answer(result, received.ticket, next_step="Call triage_ticket to classify and route it.")


async def update_ticket(
    ctx: Context,
    ticket_id: TicketId,
    status: StatusName | None = None,
    priority: PriorityName | None = None,
    category: Annotated[str | None, Field(max_length=40)] = None,
    assignee: Annotated[str | None, Field(description="A handle; empty takes it off", max_length=80)] = None,
    add_tags: Annotated[list[str] | None, Field(max_length=20)] = None,
    remove_tags: Annotated[list[str] | None, Field(max_length=20)] = None,
    expected_version: Version = None,
) -> ChangeAnswer:
    """Change a ticket's status, priority, category, assignee or tags. The requester cannot be changed here."""
    app = app_of(ctx)
    changes = Changes(
        status=status,
        priority=priority,
        category=category,
        assignee=assignee,
        add_tags=tuple(add_tags or ()),
        remove_tags=tuple(remove_tags or ()),
    )
    done = await app.write(
        learning.update_by_agent,
        ticket_id,
        changes,
        expected_version=expected_version,
        actor=app.principal,
        policy=app.policy,
        now=app.now(),
    )
    return answers.change_answer(done.status, done.ticket)


async def add_note(
    ctx: Context,
    ticket_id: TicketId,
    body: Annotated[str, Field(max_length=20_000)],
    idempotency_key: Key = None,
) -> ChangeAnswer:
    """Add an internal note. The customer never sees it."""
    app = app_of(ctx)

    def work(conn: Connection) -> ChangeAnswer:
        is_new = moves.add_note(
            conn, ticket_id, body, actor=app.principal, now=app.now(), idempotency_key=idempotency_key
        )
        return answers.change_answer("applied" if is_new else "unchanged", tickets.get(conn, ticket_id))

    return await app.write(work)


async def merge_tickets(
    ctx: Context,
    duplicate_id: Annotated[str, Field(description="The ticket to close", max_length=20)],
    into_id: Annotated[str, Field(description="The ticket that goes on", max_length=20)],
    expected_version: Version = None,
) -> ChangeAnswer:
    """Close a duplicate and point it at the ticket that goes on. Nobody is told; its text stays readable."""
    app = app_of(ctx)
    done = await app.write(
        moves.merge,
        duplicate_id,
        into_id,
        expected_version=expected_version,
        actor=app.principal,
        policy=app.policy,
        now=app.now(),
    )
    return answers.change_answer(done.status, done.ticket)


async def triage_ticket(
    ctx: Context,
    ticket_id: Annotated[
        str | None, Field(description="One ticket; leave out for the oldest untriaged", max_length=20)
    ] = None,
    limit: Annotated[int, Field(description="How many when no id is given", ge=1, le=50)] = 10,
) -> TriageAnswer:
    """Classify and route one ticket, or the oldest untriaged: category, priority, sentiment, tags, confidence, route,
    SLA, why. Not certain, P1 and odd ones wait for a person. Call draft_reply next."""
    app = app_of(ctx)
    wanted = [ids.shown("T", ids.number("T", ticket_id))] if ticket_id else await app.read(queue.untriaged, limit=limit)
    triaged = []
    async for batch in flow.triage_batch(app, wanted):
        triaged += batch
        await ctx.report_progress(len(triaged), len(wanted))
    left = await app.read(queue.page, QueueFilter(untriaged=True), limit=1)
    rows = [
        answers.triage_row(one.ticket, one.why if len(wanted) <= 5 else (), was_triaged=not one.is_new)
        for one in triaged
    ]
    return TriageAnswer(
        triaged=rows,
        auto=sum(row.route != "human" for row in rows),
        human=sum(row.route == "human" for row in rows),
        still_untriaged=f"over {queue.COUNT_UP_TO}" if left.matching is None else str(left.matching),
        next="draft_reply writes an answer; list_open_tickets shows what is most at risk." if rows else None,
    )


async def draft_reply(
    ctx: Context,
    ticket_id: TicketId,
    body: Annotated[
        str | None, Field(description="Your own text; left out, a macro is filled in", max_length=20_000)
    ] = None,
) -> DraftAnswer:
    """Write a draft on the ticket, yours or a macro scoped to its SLA. Nobody outside sees it. Then propose_reply."""
    app = app_of(ctx)
    made = await flow.draft(app, ticket_id, body, macros=app.macros)
    return DraftAnswer(
        id=ids.shown("T", ids.number("T", ticket_id)),
        engine=made.engine,
        untrusted_draft=untrusted.block(made.body) or "",
        next="propose_reply asks a person to sign it; nothing is sent before.",
    )


TOOLS = (
    Spec(list_open_tickets, QueueAnswer, "READ", "desk"),
    Spec(get_ticket, TicketAnswer, "READ", "desk"),
    Spec(search_tickets, SearchAnswer, "READ", "desk"),
    Spec(create_ticket, ChangeAnswer, "INTERNAL", "desk"),
    Spec(update_ticket, ChangeAnswer, "INTERNAL", "desk"),
    Spec(add_note, ChangeAnswer, "INTERNAL", "desk"),
    Spec(merge_tickets, ChangeAnswer, "INTERNAL", "desk"),
    Spec(triage_ticket, TriageAnswer, "INTERNAL", "desk"),
    Spec(draft_reply, DraftAnswer, "INTERNAL", "desk"),
)
