"""What a model sees of each record: small, nulls left out, strangers' text in `untrusted_*` fields."""

from collections.abc import Sequence

from opspilot_mcp.aiops.incidents import Incident
from opspilot_mcp.clock import human_span, iso, iso_or_none
from opspilot_mcp.desk import sla
from opspilot_mcp.desk.queue import COUNT_UP_TO, Page
from opspilot_mcp.desk.tickets import Message, Ticket
from opspilot_mcp.insights.impact import Evidence, Suggestion
from opspilot_mcp.insights.impact import Link as Linked
from opspilot_mcp.policy import Policy
from opspilot_mcp.proposals import Proposal
from opspilot_mcp.store import ids
from opspilot_mcp.tools import untrusted
from opspilot_mcp.tools.approval_answers import ApprovalRow, approval_row
from opspilot_mcp.tools.protocol import Answer

# -- tickets -----------------------------------------------------------------------------------------------------------


class TicketRow(Answer):
    """One line of the queue."""

    id: str
    untrusted_subject: str | None
    status: str
    priority: str | None
    category: str | None
    tier: str | None
    assignee: str | None
    next_target: str | None
    time_left: str | None  # "-2 h 05 min" when late
    paused: bool | None


class QueueAnswer(Answer):
    tickets: list[TicketRow]
    matching: str  # "37" or "over 1000"
    next_cursor: str | None
    left_out: str | None


class SearchAnswer(Answer):
    tickets: list[TicketRow]
    found: int


class Link(Answer):
    """A ticket or incident that may belong here: a suggestion with its reasons, which nobody has decided on."""

    id: str
    score: float
    untrusted_why: str


class LinkRow(Answer):
    """A ticket or incident that somebody linked here; `confirmed` when that was a person."""

    id: str
    by: str
    confirmed: bool | None
    at: str


class Said(Answer):
    """One message of a thread. `kind` is in, out, note or draft."""

    kind: str
    at: str
    author: str | None
    untrusted_text: str | None


class Clock(Answer):
    """A ticket's SLA clock."""

    created: str
    first_response_due: str
    resolution_due: str
    next_target: str | None
    time_left: str | None  # "-2 h 05 min" when late
    paused: bool | None
    breached: str | None
    responded: str | None
    resolved: str | None


class TicketAnswer(Answer):
    """One ticket in full."""

    id: str
    version: int
    status: str
    priority: str | None
    category: str | None
    sentiment: str | None
    confidence: float | None
    certified: bool | None
    escalate: bool
    tier: str | None
    queue: str | None
    assignee: str | None
    clock: Clock
    merged_into: str | None
    requester_verified: bool
    untrusted_requester: str | None
    untrusted_subject: str | None
    untrusted_body: str | None
    untrusted_tags: list[str] | None
    untrusted_external_id: str | None
    untrusted_why: list[str] | None
    thread: list[Said] | None
    thread_left_out: int | None
    similar: list[TicketRow] | None
    explained_by: list[LinkRow] | None
    may_be_explained_by: list[Link] | None
    approvals: list[ApprovalRow] | None


class ChangeAnswer(Answer):
    """What became of a change."""

    result: str  # applied, unchanged, conflict
    id: str
    version: int
    status: str
    priority: str | None
    category: str | None
    tier: str | None
    assignee: str | None
    next: str | None


class EscalateAnswer(Answer):
    """What became of a climb."""

    result: str  # applied, unchanged, conflict
    id: str
    version: int
    status: str
    tier: str | None
    next: str | None


class TriageRow(Answer):
    """One triaged ticket."""

    id: str
    untrusted_subject: str | None
    category: str | None
    priority: str | None
    sentiment: str | None
    confidence: float | None
    certified: bool
    route: str  # L1, L2, L3 or human
    status: str
    escalate: bool
    due: str
    untrusted_tags: list[str] | None
    untrusted_why: list[str] | None
    was_triaged: bool | None


class TriageAnswer(Answer):
    triaged: list[TriageRow]
    auto: int
    human: int
    still_untriaged: str
    next: str | None


class DraftAnswer(Answer):
    id: str
    engine: str
    untrusted_draft: str
    next: str


# -- from records ------------------------------------------------------------------------------------------------------


def link(id: str, suggested: Suggestion) -> Link:
    """Return one suggestion; `id` is its other end."""
    why = "; ".join(_evidence(one) for one in suggested.why)
    return Link(id=id, score=round(suggested.score, 2), untrusted_why=untrusted.line(why, 200) or "")


def link_row(id: str, linked: Linked) -> LinkRow:
    """Return one link; `id` is its other end."""
    return LinkRow(id=id, by=linked.by, confirmed=linked.is_confirmed or None, at=iso(linked.at_ms))


def _evidence(one: Evidence) -> str:
    says = {"names_service": "names", "shares_words": "shares the words", "in_time": "in time"}[one.kind]
    when = f" ({human_span(one.seconds * 1000)} after its start)" if one.seconds is not None else ""
    return f"{says} {', '.join(one.terms)}".rstrip() + when


def _sentences(why: Sequence[str]) -> list[str] | None:
    """Return triage's reasons; they may quote the ticket."""
    return [untrusted.line(sentence, 240) or "" for sentence in why] or None


def ticket_row(ticket: Ticket, *, policy: Policy, now: int) -> TicketRow:
    return TicketRow(
        id=ticket.id,
        untrusted_subject=untrusted.line(ticket.subject, 80),
        status=ticket.status,
        priority=ticket.priority,
        category=ticket.category,
        tier=ticket.tier,
        assignee=ticket.assignee,
        next_target=ticket.next_target if ticket.next_due_ms is not None else None,
        time_left=_left(ticket, policy, now),
        paused=True if ticket.paused_ms is not None else None,
    )


def _left(ticket: Ticket, policy: Policy, now: int) -> str | None:
    """Return the open time to the next promise; it stands still while the desk waits on the customer."""
    if ticket.next_due_ms is None:
        return None
    at_ms = ticket.paused_ms if ticket.paused_ms is not None else now
    return human_span(sla.left_ms(ticket.next_due_ms, at_ms, policy.clock_of(ticket.priority)))


def queue_answer(page: Page, *, policy: Policy, now: int) -> QueueAnswer:
    rows = [ticket_row(ticket, policy=policy, now=now) for ticket in page.tickets]
    matching = f"over {COUNT_UP_TO}" if page.matching is None else str(page.matching)
    left_out = None
    if page.next_cursor:
        left_out = f"{len(rows)} of {matching} shown; pass next_cursor for the next page."
    return QueueAnswer(tickets=rows, matching=matching, next_cursor=page.next_cursor, left_out=left_out)


def said(message: Message, limit: int) -> Said:
    return Said(
        kind=message.kind,
        at=iso(message.at_ms),
        author=message.author or None,
        untrusted_text=untrusted.block(message.body, limit),
    )


_STORED_NAMES = (
    "version status priority category sentiment confidence certified escalate tier queue assignee requester_verified"
)
_AS_STORED = set(_STORED_NAMES.split())


def ticket_answer(
    ticket: Ticket,
    *,
    policy: Policy,
    now: int,
    body_limit: int,
    why: Sequence[str] = (),
    thread: Sequence[Message] = (),
    thread_left_out: int = 0,
    similar: Sequence[Ticket] = (),
    linked: Sequence[Linked] = (),
    incidents: Sequence[Suggestion] = (),
    approvals: Sequence[Proposal] = (),
) -> TicketAnswer:
    """Return one ticket as a model sees it, with what stands around it."""
    who = " ".join(part for part in (ticket.requester_name, f"<{ticket.requester_address}>") if part)
    return TicketAnswer(
        **ticket.model_dump(include=_AS_STORED),
        id=ticket.id,
        clock=_clock(ticket, policy, now),
        merged_into=ids.shown("T", ticket.merged_into) if ticket.merged_into else None,
        untrusted_requester=untrusted.line(who) if ticket.requester_address else None,
        untrusted_subject=untrusted.line(ticket.subject),
        untrusted_body=untrusted.block(ticket.body, body_limit),
        untrusted_tags=list(ticket.tags) or None,
        untrusted_external_id=untrusted.line(ticket.external_id),
        untrusted_why=_sentences(why),
        thread=[said(message, untrusted.THREAD_BODY) for message in thread] or None,
        thread_left_out=thread_left_out or None,
        similar=[ticket_row(one, policy=policy, now=now) for one in similar] or None,
        explained_by=[link_row(one.incident, one) for one in linked] or None,
        may_be_explained_by=[link(one.incident, one) for one in incidents] or None,
        approvals=[approval_row(one) for one in approvals] or None,
    )


def _clock(ticket: Ticket, policy: Policy, now: int) -> Clock:
    return Clock(
        created=iso(ticket.created_ms),
        first_response_due=iso(ticket.first_response_due_ms),
        resolution_due=iso(ticket.resolution_due_ms),
        next_target=ticket.next_target if ticket.next_due_ms is not None else None,
        time_left=_left(ticket, policy, now),
        paused=True if ticket.paused_ms is not None else None,
        breached=ticket.breached or None,
        responded=iso_or_none(ticket.responded_ms),
        resolved=iso_or_none(ticket.resolved_ms),
    )


def change_answer(result: str, ticket: Ticket, *, next_step: str | None = None) -> ChangeAnswer:
    if result == "conflict":
        next_step = f"Somebody changed {ticket.id} first. Read it with get_ticket and decide again."
    return ChangeAnswer(
        result=result,
        id=ticket.id,
        version=ticket.version,
        status=ticket.status,
        priority=ticket.priority,
        category=ticket.category,
        tier=ticket.tier,
        assignee=ticket.assignee,
        next=next_step,
    )


def escalate_answer(result: str, record: Ticket | Incident) -> EscalateAnswer:
    next_step = None
    if result == "conflict":
        next_step = f"Somebody changed {record.id} first. Read it again and decide again."
    elif record.tier == "L3":
        next_step = "post_escalation_alert proposes a page a person must sign."
    return EscalateAnswer(
        result=result,
        id=record.id,
        version=record.version,
        status=record.status if isinstance(record, Ticket) else record.state,
        tier=record.tier,
        next=next_step,
    )


def triage_row(ticket: Ticket, why: Sequence[str], *, was_triaged: bool) -> TriageRow:
    return TriageRow(
        id=ticket.id,
        untrusted_subject=untrusted.line(ticket.subject, 80),
        category=ticket.category,
        priority=ticket.priority,
        sentiment=ticket.sentiment,
        confidence=ticket.confidence,
        certified=bool(ticket.certified),
        route="human" if ticket.status == "human_review" else (ticket.tier or "human"),
        status=ticket.status,
        escalate=ticket.escalate,
        due=iso(ticket.next_due_ms or ticket.first_response_due_ms),
        untrusted_tags=list(ticket.tags) or None,
        untrusted_why=_sentences(why),
        was_triaged=True if was_triaged else None,
    )
