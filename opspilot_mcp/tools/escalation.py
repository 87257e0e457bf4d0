"""Tools that raise the alarm: climb a tier inside the desk, or ask a person to post it to a channel."""

from typing import Annotated

from fastmcp import Context
from pydantic import Field
from sqlalchemy import Connection

from opspilot_mcp import proposals, text
from opspilot_mcp.aiops import escalation
from opspilot_mcp.desk import moves, paging, routing, tickets
from opspilot_mcp.errors import Conflict, IllegalMove, InvalidInput
from opspilot_mcp.policy import Policy
from opspilot_mcp.proposals import Proposal
from opspilot_mcp.store import ids
from opspilot_mcp.tools import answers, approval_answers
from opspilot_mcp.tools.answers import EscalateAnswer
from opspilot_mcp.tools.approval_answers import ProposalAnswer
from opspilot_mcp.tools.desk import Key, Version
from opspilot_mcp.tools.protocol import Spec, app_of

SubjectId = Annotated[str, Field(description="T-17 or INC-3", max_length=20)]


async def escalate(
    ctx: Context,
    id: SubjectId,
    reason: Annotated[str, Field(description="Why, for the timeline", min_length=3, max_length=1000)],
    expected_version: Version = None,
) -> EscalateAnswer:
    """Climb one tier (L1, L2, L3) with a reason. Nobody outside is told: post_escalation_alert proposes a page."""
    app = app_of(ctx)
    climb = _climb_incident if ids.kind_of(id) == "INC" else _climb_ticket
    return await app.write(climb, id, reason, version=expected_version, actor=app.principal, now=app.now())


def _climb_ticket(
    conn: Connection, ticket_id: str, reason: str, *, version: int | None, actor: str, now: int
) -> EscalateAnswer:
    ticket = tickets.get(conn, ticket_id)
    if version is not None and version != ticket.version:
        return answers.escalate_answer("conflict", ticket)
    if ticket.status in ("resolved", "closed"):
        raise IllegalMove(f"{ticket.id} is {ticket.status}. Reopen it with update_ticket first.")
    told = text.one_line(reason)
    if not told:
        raise InvalidInput("The reason is empty. Say why the next tier should take it.")
    climbed = routing.climb(conn, ticket, actor=actor, why="asked", now=now)
    if climbed is None:
        raise Conflict(f"{ticket.id} changed meanwhile. Read it again.")
    moves.add_note(conn, ticket_id, f"Escalated: {told}", actor=actor, now=now)
    return answers.escalate_answer("applied", climbed)


def _climb_incident(
    conn: Connection, incident_id: str, reason: str, *, version: int | None, actor: str, now: int
) -> EscalateAnswer:
    done = escalation.climb(conn, incident_id, reason, expected_version=version, actor=actor, now=now)
    return answers.escalate_answer(done.status, done.incident)


async def post_escalation_alert(
    ctx: Context,
    id: SubjectId,
    channel: Annotated[str, Field(description="A channel alias of this desk", max_length=40)] = paging.CHANNEL,
    message: Annotated[str | None, Field(description="Your words, added to the facts", max_length=4000)] = None,
    idempotency_key: Key = None,
) -> ProposalAnswer:
    """Ask for a ticket or incident to be posted to a channel such as on-call: a person must sign it."""
    app = app_of(ctx)

    def work(conn: Connection) -> ProposalAnswer:
        now = app.now()
        made, is_new = _page(
            conn, id, channel, message, actor=app.principal, policy=app.policy, now=now, key=idempotency_key
        )
        return approval_answers.proposal_answer(made, proposals.gate_state(conn, now=now), is_new=is_new)

    return await app.write(work)


def _page(
    conn: Connection,
    subject: str,
    channel: str,
    message: str | None,
    *,
    actor: str,
    policy: Policy,
    now: int,
    key: str | None,
) -> tuple[Proposal, bool]:
    if ids.kind_of(subject) == "INC":
        return escalation.page(
            conn, subject, channel, message, actor=actor, policy=policy, now=now, idempotency_key=key
        )
    ticket = tickets.get(conn, subject)
    return paging.propose(
        conn, ticket, message, channel=channel, actor=actor, policy=policy, now=now, idempotency_key=key
    )


TOOLS = (
    Spec(escalate, EscalateAnswer, "INTERNAL", "both"),
    Spec(post_escalation_alert, ProposalAnswer, "OUTBOUND", "both"),
)
