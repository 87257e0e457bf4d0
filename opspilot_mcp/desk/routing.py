"""Where a read ticket goes: the tier by its priority, the queue by its category, or a person first."""

from typing import NamedTuple

from sqlalchemy import Connection

from opspilot_mcp.desk import tickets
from opspilot_mcp.desk.tickets import Priority, Status, Ticket, Tier
from opspilot_mcp.policy import Policy
from opspilot_mcp.store import audit

TIERS: tuple[Tier, ...] = ("L1", "L2", "L3")


class Route(NamedTuple):
    """The tier and queue a ticket starts in, and the status that says who moves next."""

    tier: Tier
    queue: str | None
    status: Status


def route(priority: Priority, category: str | None, *, needs_person: bool, policy: Policy) -> Route:
    """Return the route. A P1 keeps its tier and still waits for a person; what is unsure waits in tier `human`."""
    tier: Tier = policy.routing.tiers[priority]
    if needs_person and priority != "P1":
        tier = "human"
    return Route(tier, policy.owner(category), "human_review" if needs_person else "open")


def next_tier(tier: Tier | None) -> Tier | None:
    """Return the tier above, None at the top. A ticket in tier `human`, or in none, climbs to L2."""
    if tier not in TIERS:
        return "L2"
    above = TIERS.index(tier) + 1
    return TIERS[above] if above < len(TIERS) else None


def climb(conn: Connection, ticket: Ticket, *, actor: str, why: str, now: int, breached: str = "") -> Ticket | None:
    """Move a ticket one tier up and say so in its timeline; None when somebody changed it first.

    `why` is one of our own words ("breach", "asked"). At the top tier only the status changes.
    """
    tier = next_tier(ticket.tier) or ticket.tier
    values: dict[str, object] = {"tier": tier, "escalate": True}
    if breached:
        values["breached"] = " ".join(sorted({*ticket.breached.split(), breached}))
    if ticket.status in ("open", "in_review"):
        values["status"] = "escalated"
    if not tickets.change(conn, ticket, values, now=now):
        return None
    detail: dict[str, object] = {"from": ticket.tier, "to": tier, "why": why}
    audit.record(
        conn, actor, "ticket.escalated", ticket.id, now=now, detail=detail | ({"target": breached} if breached else {})
    )
    return tickets.get(conn, ticket.id)
