"""Tools that ask for a message to be sent. A person must sign it in the gate; nothing here can."""

import asyncio
from typing import Annotated, Literal

import anyio
from fastmcp import Context
from mcp_types import ElicitRequest, ElicitRequestURLParams, InputRequiredResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field
from sqlalchemy import Connection

from opspilot_mcp import proposals
from opspilot_mcp.desk import replies
from opspilot_mcp.proposals import GateState, Proposal
from opspilot_mcp.store import ids
from opspilot_mcp.tools import approval_answers
from opspilot_mcp.tools.approval_answers import ApprovalsAnswer, ProposalAnswer
from opspilot_mcp.tools.desk import Key, TicketId, Version
from opspilot_mcp.tools.protocol import Spec, app_of

ProposalId = Annotated[str, Field(description="Like PR-9", max_length=20)]

_LOOK_EVERY_S = 0.5
_OPEN = frozenset({"pending", "held", "retry"})
_DECIDED = frozenset({"sent", "uncertain", "failed", "rejected", "withdrawn", "expired"})


async def propose_reply(
    ctx: Context,
    ticket_id: TicketId,
    body: Annotated[str | None, Field(description="Left out: the ticket's newest draft", max_length=20_000)] = None,
    expected_version: Version = None,
    idempotency_key: Key = None,
) -> ProposalAnswer:
    """Ask for an answer to be sent to the ticket's requester, never to anybody else: a person must sign it."""
    app = app_of(ctx)

    def work(conn: Connection) -> ProposalAnswer:
        made = replies.propose(
            conn,
            ticket_id,
            body,
            expected_version=expected_version,
            actor=app.principal,
            policy=app.policy,
            now=app.now(),
            idempotency_key=idempotency_key,
        )
        gate = proposals.gate_state(conn, now=app.now())
        return approval_answers.proposal_answer(made.proposal, gate, is_new=made.is_new)

    return await app.write(work)


async def list_approvals(
    ctx: Context,
    id: Annotated[str | None, Field(description="One proposal, with its text", max_length=20)] = None,
    state: Literal["waiting", "all"] = "waiting",
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Field(max_length=20)] = None,
) -> ApprovalsAnswer:
    """What waits for a person's signature and what became of it. A message is sent only when its state says sent."""
    app = app_of(ctx)
    return await app.read(_approvals, id, waiting=state == "waiting", limit=limit, cursor=cursor, now=app.now())


def _approvals(
    conn: Connection, proposal_id: str | None, *, waiting: bool, limit: int, cursor: str | None, now: int
) -> ApprovalsAnswer:
    gate = approval_answers.gate_line(proposals.gate_state(conn, now=now))
    if proposal_id is not None:
        row = approval_answers.approval_row(proposals.get(conn, proposal_id), with_body=True)
        return ApprovalsAnswer(approvals=[row], gate=gate, next_cursor=None)
    before = ids.number("PR", cursor) if cursor else None
    found = proposals.recent(conn, waiting=waiting, before=before, limit=limit + 1)
    rows = [approval_answers.approval_row(one) for one in found[:limit]]
    return ApprovalsAnswer(approvals=rows, gate=gate, next_cursor=rows[-1].id if len(found) > limit else None)


async def request_approval(
    ctx: Context,
    proposal_id: ProposalId,
    wait_s: Annotated[int, Field(description="How long to wait for the decision", ge=0, le=45)] = 0,
) -> ProposalAnswer | InputRequiredResult:
    """Point a person at a waiting message and wait for their decision. Your client's user cannot approve it here."""
    app = app_of(ctx)
    found, gate = await app.read(_state, proposal_id, now=app.now())
    if found.state in _OPEN and gate.console is not None and _can_open_urls(ctx):
        asked = await _point_at(ctx, found.id, f"{gate.console}/messages/{found.id}", wait_s)
        if asked is not None:
            return asked
    for step in range(int(wait_s / _LOOK_EVERY_S)):
        if found.state in _DECIDED:
            break
        await ctx.report_progress(step * _LOOK_EVERY_S, wait_s)
        await asyncio.sleep(_LOOK_EVERY_S)
        found, gate = await app.read(_state, proposal_id, now=app.now())
    return approval_answers.proposal_answer(found, gate)


def _can_open_urls(ctx: Context) -> bool:
    capable = ctx.session.client_capabilities
    return capable is not None and capable.elicitation is not None and capable.elicitation.url is not None


async def _point_at(ctx: Context, proposal_id: str, url: str, wait_s: int) -> InputRequiredResult | None:
    """Ask the client to open the console. Whatever it answers changes nothing: only the gate's state counts.

    The modern protocol cannot call the client: the tool returns a request once, and is called again.
    """
    words = f"{proposal_id} waits for a signature. Open the console, read the message and decide there."
    context = ctx.request_context
    if context is not None and context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        if ctx.input_responses is not None:
            return None
        params = ElicitRequestURLParams(message=words, url=url)
        return InputRequiredResult(input_requests={"console": ElicitRequest(params=params)}, request_state=proposal_id)
    with anyio.move_on_after(max(1, wait_s)):
        await ctx.session.elicit_url(words, url, proposal_id, related_request_id=ctx.request_id)
    return None


def _state(conn: Connection, proposal_id: str, *, now: int) -> tuple[Proposal, GateState]:
    return proposals.get(conn, proposal_id), proposals.gate_state(conn, now=now)


async def withdraw_message(
    ctx: Context,
    proposal_id: ProposalId,
    hold: Annotated[bool, Field(description="Only hold it: a person can lift a hold, you cannot")] = False,
) -> ProposalAnswer:
    """Withdraw a message that has not left, or hold it. Only towards safety: neither can be undone by you."""
    app = app_of(ctx)

    def work(conn: Connection) -> ProposalAnswer:
        asked: Literal["hold", "withdraw"] = "hold" if hold else "withdraw"
        found = proposals.ask(conn, proposal_id, asked, principal=app.principal, now=app.now())
        return approval_answers.proposal_answer(found, proposals.gate_state(conn, now=app.now()))

    return await app.write(work)


TOOLS = (
    Spec(propose_reply, ProposalAnswer, "OUTBOUND", "desk"),
    Spec(list_approvals, ApprovalsAnswer, "READ", "both"),
    Spec(request_approval, ProposalAnswer, "READ", "both"),
    Spec(withdraw_message, ProposalAnswer, "INTERNAL", "both"),
)
