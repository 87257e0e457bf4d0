"""From a ticket's text to a decision: what it is, how urgent, and whether a person must look first.

This is the starting rule: category by keywords, priority by stated facts, and a fixed confidence gate. It carries no
certificate and every answer says so.
"""

import json
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, insert

from opspilot_mcp import engines
from opspilot_mcp.desk import facts, moves, routing, rules, tickets
from opspilot_mcp.desk.routing import Route
from opspilot_mcp.desk.tickets import Priority, Sentiment, Ticket
from opspilot_mcp.policy import Policy
from opspilot_mcp.store import audit
from opspilot_mcp.store.ledger import AiCall, record
from opspilot_mcp.store.schema import triages

ENGINE = "rules-1"
UNCERTIFIED = "Starting rule, not certified: no reviewed tickets stand behind this confidence yet."

# How the answer puts the facts that send a ticket to a person whatever the confidence says.
_FOR_A_PERSON: dict[facts.Kind, str] = {
    "vague": "The text says too little to route on.",
    "several_issues": "It raises several issues at once.",
    "instructions_to_ai": "It addresses instructions to the AI; they are data here, and a person looks first.",
    "legal": "It mentions legal steps.",
    "authority_change": "It asks to change who may act on an account.",
    "off_topic": "It does not read like a support request.",
}


class Reading(BaseModel):
    """What an engine made of a ticket's text. `confidence` is about the category, 0 to 1."""

    model_config = ConfigDict(frozen=True)

    engine: str
    category: str
    confidence: float
    priority: Priority
    sentiment: Sentiment
    tags: tuple[str, ...]
    for_a_person: tuple[facts.Kind, ...]  # stated facts a person must see
    why: tuple[str, ...]  # may quote the ticket: strangers' text
    wants_person: bool = False  # the engine itself asks for one


class Decision(NamedTuple):
    """Whether the ticket may be routed without a person, and the sentences that say why."""

    kind: Literal["auto", "human"]
    certified: bool
    why: tuple[str, ...]


class Triaged(NamedTuple):
    """A ticket after triage; `is_new` is False when it had been triaged before."""

    ticket: Ticket
    is_new: bool
    why: tuple[str, ...]


def read(subject: str, body: str, policy: Policy) -> Reading:
    """Read a ticket by stated facts and keyword rules; pure, no database, no network."""
    found = facts.read(subject, body)
    rating = facts.priority(found)
    category, confidence = rules.category_by_rules(subject, body, policy.desk.categories)
    return Reading(
        engine=ENGINE,
        category=category,
        confidence=round(confidence, 4),
        priority=rating.priority,
        sentiment=rules.sentiment(subject, body),
        tags=rules.tags(subject, body, found),
        for_a_person=tuple(kind for kind in facts.FOR_A_PERSON if found.has(kind)),
        why=tuple(rating.why),
    )


def graver(one: Priority, other: Priority) -> Priority:
    """Return the more urgent of two priorities: a doubt about urgency is settled towards the customer."""
    return min(one, other)


def merged(local: Reading, asked: engines.Reading, *, model: str) -> Reading:
    """Return a model's reading with what the text states kept: no model takes a fact or a priority away.

    The confidence is the model's own word, and carries no certificate either.
    """
    return local.model_copy(
        update={
            "engine": model,
            "category": asked.category,
            "confidence": round(asked.confidence, 4),
            "priority": graver(local.priority, asked.priority),
            "sentiment": asked.sentiment,
            "tags": tuple(dict.fromkeys([*local.tags, *asked.tags])),
            "wants_person": asked.escalate,
            "why": (*local.why, f"Category by {model}."),
        }
    )


def is_unsure(reading: Reading, policy: Policy) -> bool:
    """Whether only the category is in doubt: where a model could spare a person the question."""
    return (
        not reading.for_a_person
        and reading.priority != "P1"
        and policy.gate.cold_start == "rules"
        and reading.confidence < policy.gate.threshold
    )


def decide(reading: Reading, policy: Policy) -> Decision:
    """Return whether a person must look first. P1 always; so does text no rule should route; then the gate."""
    reasons = [_FOR_A_PERSON.get(kind, "It states something a person must see.") for kind in reading.for_a_person]
    if reading.priority == "P1":
        reasons.insert(0, "P1 always goes to a person.")
    if reading.wants_person:
        reasons.append("The engine asks for a person.")
    if policy.gate.cold_start == "human":
        reasons.append("The policy sends everything to a person until a certificate stands.")
    elif reading.confidence < policy.gate.threshold:
        reasons.append(f"Confidence {reading.confidence:.2f} is below the gate of {policy.gate.threshold:.2f}.")
    passes = f"Confidence {reading.confidence:.2f} passes the gate of {policy.gate.threshold:.2f}."
    why = (*reading.why, *(reasons or [passes]), UNCERTIFIED)
    return Decision("human" if reasons else "auto", False, why)


def apply(
    conn: Connection, ticket_id: str, reading: Reading, *, latency_ms: float, policy: Policy, actor: str, now: int
) -> Triaged:
    """Write a reading and its decision to the ticket, once: a ticket triaged before is returned as it is."""
    ticket = tickets.get(conn, ticket_id)
    if ticket.triaged_ms is not None or ticket.status in ("resolved", "closed"):
        return Triaged(ticket, False, tuple(tickets.latest_why(conn, ticket.number)))
    decision = decide(reading, policy)
    priority = ticket.priority or reading.priority
    route = routing.route(priority, reading.category, needs_person=decision.kind == "human", policy=policy)
    values = _values(ticket, reading, decision, route, priority=priority, policy=policy, now=now)
    # The version cannot have moved: this transaction holds the write lock since it read the ticket.
    tickets.change(conn, ticket, values, now=now)
    tickets.set_tags(conn, ticket.number, tickets.clean_tags({*ticket.tags, *reading.tags}))
    _keep(conn, ticket, reading, decision, latency_ms=latency_ms, now=now)
    detail = {"decision": decision.kind, "engine": reading.engine, "priority": priority, "category": reading.category}
    audit.record(conn, actor, "ticket.triaged", ticket.id, now=now, detail=detail)
    return Triaged(tickets.get(conn, ticket_id), True, decision.why)


def _values(
    ticket: Ticket,
    reading: Reading,
    decision: Decision,
    route: Route,
    *,
    priority: Priority,
    policy: Policy,
    now: int,
) -> dict[str, object]:
    # What a person or an agent set by hand before triage stays.
    category = ticket.category or reading.category
    values: dict[str, object] = {
        "category": category,
        "queue": policy.owner(category),
        "sentiment": reading.sentiment,
        "confidence": reading.confidence,
        "certified": decision.certified,
        "escalate": decision.kind == "human",
        "tier": route.tier,
        "triaged_ms": now,
        **moves.priority_values(ticket, priority, policy),
    }
    if ticket.status == "open":
        values["status"] = route.status
    return values


def _keep(
    conn: Connection, ticket: Ticket, reading: Reading, decision: Decision, *, latency_ms: float, now: int
) -> None:
    conn.execute(
        insert(triages).values(
            ticket_id=ticket.number,
            engine=reading.engine,
            category=reading.category,
            priority=reading.priority,
            sentiment=reading.sentiment,
            confidence=reading.confidence,
            certified=decision.certified,
            decision=decision.kind,
            why=json.dumps(decision.why),
            at_ms=now,
        )
    )
    call = AiCall(
        at_ms=now,
        operation="read",
        subject=ticket.id,
        engine="local",
        model=reading.engine,
        latency_ms=round(latency_ms, 3),
    )
    record(conn, call)
