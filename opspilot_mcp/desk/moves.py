"""How a ticket changes: the status machine, edits with an expected version, notes, merges, the customer's answers."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, insert

from opspilot_mcp import text
from opspilot_mcp.desk import sla, tickets
from opspilot_mcp.desk.tickets import Priority, Sentiment, Status, Ticket
from opspilot_mcp.errors import Conflict, IllegalMove, InvalidInput
from opspilot_mcp.policy import Policy
from opspilot_mcp.store import audit, idempotency
from opspilot_mcp.store.schema import notes, replies

MAX_NOTE = 20_000
_HANDLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,79}", re.ASCII)

# Which status may follow which. Nothing leaves `closed`: a new problem is a new ticket.
_WORKED: tuple[Status, ...] = ("in_review", "human_review", "escalated", "pending", "resolved", "closed")
MOVES: dict[Status, frozenset[Status]] = {
    "open": frozenset(_WORKED),
    "in_review": frozenset({"open", *_WORKED}) - {"in_review"},
    "human_review": frozenset({"open", *_WORKED}) - {"human_review"},
    "escalated": frozenset({"in_review", "human_review", "pending", "resolved", "closed"}),
    "pending": frozenset({"open", "in_review", "human_review", "escalated", "resolved", "closed"}),
    "resolved": frozenset({"open", "closed"}),
    "closed": frozenset(),
}


class Changes(BaseModel):
    """What an editor may change; None leaves a field as it is. The requester and the source are not among them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Status | None = None
    priority: Priority | None = None
    category: str | None = None
    sentiment: Sentiment | None = None
    assignee: str | None = None  # "" takes the assignee off
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()


class Changed(NamedTuple):
    """What became of an edit, and the ticket as it is now."""

    status: Literal["applied", "unchanged", "conflict"]
    ticket: Ticket


def update(
    conn: Connection,
    ticket_id: str,
    changes: Changes,
    *,
    expected_version: int | None,
    actor: str,
    policy: Policy,
    now: int,
) -> Changed:
    """Apply `changes` if the ticket is still at `expected_version` (None: whatever it is).

    Raises IllegalMove for a status that may not follow, InvalidInput for a category the policy lacks.
    """
    before = tickets.get(conn, ticket_id)
    if expected_version is not None and expected_version != before.version:
        return Changed("conflict", before)
    values = _values(before, changes, policy=policy, now=now)
    tags = _tags(before, changes)
    if not values and tags == before.tags:
        return Changed("unchanged", before)
    if not tickets.change(conn, before, values, now=now):
        return Changed("conflict", tickets.get(conn, ticket_id))
    if tags != before.tags:
        tickets.set_tags(conn, before.number, tags)
    shown = {name: value for name, value in values.items() if name in ("status", "priority", "category", "tier")}
    audit.record(conn, actor, "ticket.updated", before.id, now=now, detail={"fields": sorted(values), **shown})
    return Changed("applied", tickets.get(conn, ticket_id))


def _values(before: Ticket, changes: Changes, *, policy: Policy, now: int) -> dict[str, object]:
    values: dict[str, object] = {}
    if changes.category is not None and changes.category != before.category:
        values |= _category(changes.category, policy)
    if changes.sentiment is not None and changes.sentiment != before.sentiment:
        values["sentiment"] = changes.sentiment
    if changes.assignee is not None:
        values |= {} if changes.assignee == (before.assignee or "") else {"assignee": _handle(changes.assignee)}
    if changes.priority is not None and changes.priority != before.priority:
        values |= priority_values(before, changes.priority, policy)
    if changes.status is not None and changes.status != before.status:
        values |= status_values(before, changes.status, policy=policy, now=now, priority=changes.priority)
    return values


def _handle(assignee: str) -> str | None:
    """Return an assignee's handle; None for "". A handle has no blanks: a ticket's words cannot pose as one."""
    if assignee and not _HANDLE.fullmatch(assignee):
        raise InvalidInput("The assignee is not a handle. Use letters, digits and . _ @ + - only.")
    return assignee or None


def _category(category: str, policy: Policy) -> dict[str, object]:
    if category not in policy.desk.categories:
        raise InvalidInput(f"That is not a category of this desk. Known: {', '.join(policy.desk.categories)}.")
    return {"category": category, "queue": policy.owner(category)}


def _tags(before: Ticket, changes: Changes) -> tuple[str, ...]:
    gone = set(tickets.clean_tags(changes.remove_tags))
    return tickets.clean_tags([tag for tag in (*before.tags, *tickets.clean_tags(changes.add_tags)) if tag not in gone])


def priority_values(before: Ticket, priority: Priority, policy: Policy) -> dict[str, object]:
    """Return the columns a new priority changes. Time already spent waiting on the customer stays counted out."""
    due = sla.targets(before.created_ms, priority, policy, before.pauses, responded_ms=before.responded_ms)
    return {"priority": priority, **due.model_dump()}


def status_values(
    before: Ticket, status: Status, *, policy: Policy, now: int, priority: Priority | None = None
) -> dict[str, object]:
    """Return the columns a move to `status` changes. Raises IllegalMove when it may not follow.

    `priority` is the one the same change sets; None where it stays.
    """
    if status not in MOVES[before.status]:
        allowed = ", ".join(sorted(MOVES[before.status])) or "nothing: open a new ticket"
        raise IllegalMove(f"{before.id} is {before.status}; from there it can become {allowed}.")
    values: dict[str, object] = {"status": status}
    held_to = priority or before.priority
    if status == "pending":
        values["paused_ms"] = now
    elif before.paused_ms is not None:
        pauses = sla.merged([*before.pauses, (before.paused_ms, now)])
        values |= {"paused_ms": None, "pauses": json.dumps(pauses), **_clock(before, held_to, policy, pauses)}
    if status in ("resolved", "closed"):
        values["resolved_ms"] = before.resolved_ms or now
    elif before.status == "resolved":
        # It was done, so no change of the policy has reached it since.
        values |= {"resolved_ms": None, **_clock(before, held_to, policy, before.pauses)}
    return values


def _clock(before: Ticket, priority: Priority | None, policy: Policy, pauses: Sequence[sla.Pause]) -> dict[str, object]:
    """Return the due columns of a ticket whose clock runs again. A first response that was given keeps its target."""
    due = sla.targets(before.created_ms, priority, policy, pauses).model_dump()
    if before.responded_ms is not None:
        del due["first_response_due_ms"]
    return due


def add_note(
    conn: Connection, ticket_id: str, body: str, *, actor: str, now: int, idempotency_key: str | None = None
) -> bool:
    """Store an internal note, never shown to the customer; False when the key was used before."""
    ticket = tickets.get(conn, ticket_id)
    note = text.clean(body).strip()
    if not 1 <= len(note) <= MAX_NOTE:
        raise InvalidInput(f"A note has 1 to {MAX_NOTE} characters, this one {len(note)}. Shorten or split it.")

    def make() -> str:
        number: int = conn.execute(
            insert(notes).values(ticket_id=ticket.number, author=actor, body=note, at_ms=now).returning(notes.c.id)
        ).scalar_one()
        audit.record(conn, actor, "ticket.noted", ticket.id, now=now)
        return str(number)

    request = {"note_on": ticket.id, "body": note}
    return idempotency.once(conn, actor, idempotency_key, request, make, now=now)[1]


def merge(
    conn: Connection,
    duplicate_id: str,
    into_id: str,
    *,
    expected_version: int | None,
    actor: str,
    policy: Policy,
    now: int,
) -> Changed:
    """Close `duplicate_id` as a duplicate of `into_id`; its words stay, its answers go through the other ticket.

    Raises IllegalMove when either is closed or they are the same.
    """
    duplicate, into = tickets.get(conn, duplicate_id), tickets.get(conn, into_id)
    if duplicate.number == into.number:
        raise InvalidInput("A ticket cannot be merged into itself. Name two tickets.")
    if duplicate.merged_into == into.number:
        return Changed("unchanged", duplicate)
    if into.status == "closed" or into.merged_into is not None:
        raise IllegalMove(f"{into.id} is closed. Merge into an open ticket.")
    if expected_version is not None and expected_version != duplicate.version:
        return Changed("conflict", duplicate)
    values = {**status_values(duplicate, "closed", policy=policy, now=now), "merged_into": into.number}
    if not tickets.change(conn, duplicate, values, now=now):
        return Changed("conflict", tickets.get(conn, duplicate_id))
    conn.execute(
        insert(notes).values(ticket_id=into.number, author=actor, body=f"{duplicate.id} was merged here.", at_ms=now)
    )
    audit.record(conn, actor, "ticket.merged", duplicate.id, now=now, detail={"into": into.id})
    return Changed("applied", tickets.get(conn, duplicate_id))


class Answer(NamedTuple):
    """What a customer wrote to a ticket they have, as an operator's door brings it in.

    The ticket is named by its id here or by its id at the source. `message_id` is the message's own id there: with it
    the same message comes once; without it the same words do.
    """

    ticket: str | None
    external_id: str | None
    body: str
    sender: str | None
    message_id: str | None


def take_answer(conn: Connection, answer: Answer, *, source: str, actor: str, policy: Policy, now: int) -> bool:
    """Add an answer to its ticket's thread; False when it was there before.

    Raises NotFound without such a ticket, IllegalMove when it is closed, InvalidInput when there are no words or the
    sender is not the requester: an answer of somebody else's must not read as theirs.
    """
    ticket = tickets.get(conn, answer.ticket or tickets.by_external_id(conn, source, answer.external_id or ""))
    if not text.clean(answer.body).strip():
        raise InvalidInput("The answer has no words. Map its column with --map theirs=body.")
    if answer.sender is not None and answer.sender.strip().lower() != ticket.requester_address:
        raise InvalidInput(f"The sender is not the requester of {ticket.id}. Store it as a ticket of its own.")
    words = answer.message_id or hashlib.sha256(answer.body.encode(errors="replace")).hexdigest()
    key = hashlib.sha256(json.dumps([source, ticket.id, words]).encode()).hexdigest()
    _, is_new = idempotency.once(
        conn,
        "import:answers",
        key,
        ticket.id,
        lambda: customer_wrote(conn, ticket.id, answer.body, actor=actor, policy=policy, now=now).id,
        now=now,
    )
    return is_new


def customer_wrote(conn: Connection, ticket_id: str, body: str, *, actor: str, policy: Policy, now: int) -> Ticket:
    """Add the customer's answer to the thread; a pending or resolved ticket opens again and its clock runs on.

    Raises IllegalMove when the ticket is closed: an answer to it is a new ticket.
    """
    before = tickets.get(conn, ticket_id)
    if before.status == "closed":
        raise IllegalMove(f"{before.id} is closed. Store the answer as a new ticket.")
    said = text.cap(text.clean(body).strip(), tickets.MAX_BODY)[0]
    conn.execute(insert(replies).values(ticket_id=before.number, direction="in", body=said, at_ms=now))
    reopens = before.status in ("pending", "resolved")
    values = status_values(before, "open", policy=policy, now=now) if reopens else {}
    if not tickets.change(conn, before, values, now=now):
        raise Conflict(f"{before.id} changed meanwhile. Read it again.")
    audit.record(conn, actor, "ticket.customer_wrote", before.id, now=now)
    return tickets.get(conn, ticket_id)
