"""The SLA clock: a pure function of a ticket's events, the policy and now.

The clock is wall-clock, 24 hours a day. It stands still while the desk waits on the customer: a pause moves every
open target by its own length, so a ticket never gains or loses time by waiting.
"""

from pydantic import BaseModel, ConfigDict

from opspilot_mcp.clock import MINUTE_MS
from opspilot_mcp.policy import PriorityName, SlaPolicy

# Added to the queue key of a paused ticket: behind every running one, still in order among themselves.
PAUSED_BEHIND_MS = 10**15

IN_QUEUE = frozenset({"open", "in_review", "human_review", "escalated", "pending"})


class Targets(BaseModel):
    """When a ticket's two promises fall due, UTC ms."""

    model_config = ConfigDict(frozen=True)

    first_response_due_ms: int
    resolution_due_ms: int


def targets(created_ms: int, priority: PriorityName | None, policy: SlaPolicy, *, paused_ms: int = 0) -> Targets:
    """Return the targets of a ticket created then. `paused_ms` is the time spent waiting on the customer so far.

    A ticket nobody has triaged (`priority` None) is held to P1's targets: it could be anything.
    """
    promise = policy[priority or "P1"]
    start = created_ms + paused_ms
    return Targets(
        first_response_due_ms=start + promise.first_response_minutes * MINUTE_MS,
        resolution_due_ms=start + promise.resolution_minutes * MINUTE_MS,
    )


def next_due(due: Targets, *, responded: bool, resolved: bool) -> tuple[str, int] | None:
    """Return the name and instant of the next promise not yet kept; None when both are."""
    if resolved:
        return None
    if not responded and due.first_response_due_ms <= due.resolution_due_ms:
        return "first_response", due.first_response_due_ms
    return "resolution", due.resolution_due_ms


def queue_key(status: str, next_due_ms: int | None, *, is_paused: bool) -> int | None:
    """Return the number the queue is ordered by (smallest = most at risk), or None once out of the queue."""
    if status not in IN_QUEUE or next_due_ms is None:
        return None
    return next_due_ms + (PAUSED_BEHIND_MS if is_paused else 0)
