"""The SLA clock: a pure function of when a ticket came, its priority, its pauses and the policy.

It runs in the hours of the priority's calendar, around the clock where the policy names none, and stands still while
the desk waits on the customer: a pause moves every open target by the open time inside it, so a ticket never gains or
loses time by waiting, nor does one that is late become later.
"""

from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from opspilot_mcp import calendars
from opspilot_mcp.calendars import Calendar
from opspilot_mcp.clock import DAY_MS, MAX_MS, MINUTE_MS
from opspilot_mcp.policy import Policy, PriorityName

# Added to the queue key of a paused ticket: behind every running one, still in order among themselves.
PAUSED_BEHIND_MS = 10**15

# A pause is counted no further than this from the ticket's arrival: a wrong clock must not make counting endless.
_COUNTED_MS = 36_525 * DAY_MS

IN_QUEUE = frozenset({"open", "in_review", "human_review", "escalated", "pending"})

Pause = tuple[int, int]  # from the first instant to before the second, UTC ms


class Targets(BaseModel):
    """When a ticket's two promises fall due, UTC ms."""

    model_config = ConfigDict(frozen=True)

    first_response_due_ms: int
    resolution_due_ms: int


def targets(
    created_ms: int,
    priority: PriorityName | None,
    policy: Policy,
    pauses: Sequence[Pause] = (),
    *,
    responded_ms: int | None = None,
) -> Targets:
    """Return the targets of a ticket created then. `pauses` are those that are over, in any order.

    A ticket nobody has triaged (`priority` None) is held to P1's targets: it could be anything. A pause that began
    with the first response, or after it, moves the resolution alone: what was late stays late.
    """
    promise = policy.sla[priority or "P1"]
    clock = policy.clock_of(priority)
    before = [pause for pause in pauses if responded_ms is None or pause[0] < responded_ms]
    return Targets(
        first_response_due_ms=_due(clock, created_ms, promise.first_response_minutes, before),
        resolution_due_ms=_due(clock, created_ms, promise.resolution_minutes, pauses),
    )


def _due(clock: Calendar | None, created_ms: int, minutes: int, pauses: Iterable[Pause]) -> int:
    latest = created_ms + _COUNTED_MS
    waited = sum(
        calendars.open_between(clock, max(start, created_ms), min(end, latest)) for start, end in merged(pauses)
    )
    return min(calendars.after(clock, created_ms, minutes * MINUTE_MS + waited), MAX_MS)


def merged(pauses: Iterable[Pause]) -> tuple[Pause, ...]:
    """Return pauses in order and apart: what overlaps or touches becomes one, what never was goes."""
    apart: list[Pause] = []
    for start, end in sorted(pauses):
        if apart and start <= apart[-1][1]:
            apart[-1] = apart[-1][0], max(end, apart[-1][1])
        elif start < end:
            apart.append((start, end))
    return tuple(apart)


def left_ms(due_ms: int, at_ms: int, clock: Calendar | None) -> int:
    """Return the open time from `at_ms` to the due instant; negative, and how late it is, once that has passed."""
    return calendars.open_between(clock, at_ms, due_ms) - calendars.open_between(clock, due_ms, at_ms)


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
