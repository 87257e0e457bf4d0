"""A ticket that people must hear about now: the page's words, and its proposal."""

from sqlalchemy import Connection

from opspilot_mcp import proposals, text
from opspilot_mcp.clock import iso
from opspilot_mcp.desk.tickets import Ticket
from opspilot_mcp.policy import Policy
from opspilot_mcp.proposals import NewProposal, Proposal

CHANNEL = "oncall"


def propose(
    conn: Connection,
    ticket: Ticket,
    message: str | None,
    *,
    channel: str,
    actor: str,
    policy: Policy,
    now: int,
    idempotency_key: str | None = None,
) -> tuple[Proposal, bool]:
    """Propose a page about a ticket to a channel alias; returns it and whether it is new. A person must sign it.

    Raises InvalidInput for an alias the policy lacks.
    """
    proposals.check_channel(channel, policy)
    new = NewProposal(
        kind="page",
        subject=ticket.id,
        subject_version=ticket.version,
        requester_id=None,
        channel=channel,
        title=text.cap(f"[{ticket.priority or 'new'}] {ticket.id} {ticket.subject}", proposals.MAX_TITLE)[0],
        body=_body(ticket, message),
    )
    per_hour = policy.limits.proposals_per_hour
    request = {"page": ticket.id, "channel": channel, "message": message}
    return proposals.propose(
        conn, new, principal=actor, now=now, per_hour=per_hour, idempotency_key=idempotency_key, request=request
    )


def _body(ticket: Ticket, message: str | None) -> str:
    lines = [
        f"{ticket.id}: {ticket.priority or 'not triaged'}, tier {ticket.tier or 'none'}, status {ticket.status}.",
        f"Subject: {ticket.subject}",
    ]
    if ticket.next_due_ms is not None:
        lines.append(f"{ticket.next_target.replace('_', ' ').capitalize()} due {iso(ticket.next_due_ms)}.")
    if message:
        lines += ["", text.clean(message).strip()]
    return "\n".join(lines)
