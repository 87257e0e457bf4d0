"""The answer to a ticket: a draft scoped to its SLA, then a proposal a person must sign."""

from typing import NamedTuple

from sqlalchemy import Connection, insert

from opspilot_mcp import proposals, text
from opspilot_mcp.desk import moves, tickets
from opspilot_mcp.desk.tickets import Ticket
from opspilot_mcp.errors import Conflict, IllegalMove, InvalidInput
from opspilot_mcp.policy import Policy
from opspilot_mcp.proposals import NewProposal, Proposal
from opspilot_mcp.store import audit
from opspilot_mcp.store.schema import drafts

CHANNEL = "replies"
MAX_DRAFT = proposals.MAX_BODY


class Proposed(NamedTuple):
    """A proposal, whether this call made it, and the ticket it answers."""

    proposal: Proposal
    is_new: bool
    ticket: Ticket


def save_draft(conn: Connection, ticket_id: str, body: str, *, engine: str, actor: str, now: int) -> Ticket:
    """Store a draft on the ticket; nobody outside sees it. Raises InvalidInput when it is empty or too long."""
    ticket = tickets.get(conn, ticket_id)
    said = text.clean(body).strip()
    if not 1 <= len(said) <= MAX_DRAFT:
        raise InvalidInput(f"A draft has 1 to {MAX_DRAFT} characters, this one {len(said)}. Change its length.")
    conn.execute(insert(drafts).values(ticket_id=ticket.number, body=said, engine=engine, at_ms=now))
    audit.record(conn, actor, "ticket.drafted", ticket.id, now=now, detail={"engine": engine})
    return ticket


def propose(
    conn: Connection,
    ticket_id: str,
    body: str | None,
    *,
    expected_version: int | None,
    actor: str,
    policy: Policy,
    now: int,
    idempotency_key: str | None = None,
) -> Proposed:
    """Propose `body`, or the ticket's newest draft, as the answer to its requester: never to anybody else.

    Raises IllegalMove for a closed ticket or one without a requester, InvalidInput without a text, Conflict when the
    ticket is no longer at `expected_version`.
    """
    ticket = tickets.get(conn, ticket_id)
    made, is_new = proposals.propose(
        conn,
        _reply_to(ticket, _body(conn, ticket, body)),
        principal=actor,
        now=now,
        per_hour=policy.limits.proposals_per_hour,
        idempotency_key=idempotency_key,
        request={"reply": ticket.id, "body": body},
    )
    # After the key: a repeat of a call that did commit finds the ticket moved on, and must still get its answer.
    if is_new:
        _check_first(conn, ticket, made, is_drafted=body is None, expected_version=expected_version)
    return Proposed(made, is_new, _in_review(conn, ticket, is_new=is_new, policy=policy, now=now))


def _reply_to(ticket: Ticket, body: str) -> NewProposal:
    if ticket.requester_id is None:
        raise IllegalMove(f"{ticket.id} has no requester to answer. Import it with one, or answer outside this desk.")
    return NewProposal(
        kind="reply",
        subject=ticket.id,
        # Proposing itself moves the ticket: that is no change a person should be warned of.
        subject_version=ticket.version + _moves(ticket),
        requester_id=ticket.requester_id,
        channel=CHANNEL,
        title=_title(ticket),
        body=body,
    )


def _check_first(
    conn: Connection, ticket: Ticket, made: Proposal, *, is_drafted: bool, expected_version: int | None
) -> None:
    """Raise where a reply that is proposed for the first time may not be."""
    if ticket.status == "closed":
        raise IllegalMove(f"{ticket.id} is closed. Answer the ticket it was merged into, or open a new one.")
    if is_drafted:
        _refuse_twice(conn, ticket, made)
    if expected_version is not None and expected_version != ticket.version:
        raise Conflict(f"{ticket.id} is at version {ticket.version}, not {expected_version}. Read it again.")


def _body(conn: Connection, ticket: Ticket, given: str | None) -> str:
    if given is not None:
        return text.clean(given).strip()
    draft = tickets.latest_draft(conn, ticket.number)
    if draft is None:
        raise InvalidInput(f"{ticket.id} has no draft. Call draft_reply first, or give the body.")
    return draft.body


def _refuse_twice(conn: Connection, ticket: Ticket, made: Proposal) -> None:
    """Refuse a draft that left, or may still leave, under another proposal: its requester would get it twice."""
    for one in proposals.of_subject(conn, ticket.id):
        is_same = one.kind == "reply" and one.body == made.body and one.id != made.id
        if is_same and one.state in (*proposals.WAITING, *proposals.GONE):
            raise IllegalMove(
                f"The newest draft of {ticket.id} is {one.id} already. Call draft_reply for another answer."
            )


def _title(ticket: Ticket) -> str:
    """Return the answer's subject line. The ticket id lets a mail program and the desk thread it."""
    return text.cap(f"Re: {ticket.subject} [{ticket.id}]", proposals.MAX_TITLE)[0]


def _moves(ticket: Ticket) -> bool:
    return ticket.status in ("open", "pending")


def _in_review(conn: Connection, ticket: Ticket, *, is_new: bool, policy: Policy, now: int) -> Ticket:
    """Show in the queue that a person is asked. A ticket that already waits for a person keeps its status."""
    if not is_new or not _moves(ticket):
        return ticket
    tickets.change(conn, ticket, moves.status_values(ticket, "in_review", policy=policy, now=now), now=now)
    return tickets.get(conn, ticket.id)
