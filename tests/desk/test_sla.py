"""The clock is one pure function: when a ticket came, its priority, its pauses and the policy."""

import pytest

from opspilot_mcp.desk import sla
from opspilot_mcp.policy import Policy
from tests.conftest import HOUR, NOON


def first_due(*pauses: sla.Pause) -> int:
    """Return hours from NOON to the first response of a P2 (4 hours)."""
    spread = [(NOON + start * HOUR, NOON + end * HOUR) for start, end in pauses]
    found = sla.targets(NOON, "P2", Policy(), spread)
    return (found.first_response_due_ms - NOON) // HOUR


@pytest.mark.parametrize(
    ("pauses", "due"),
    [
        ([], 4),
        ([(1, 2)], 5),
        ([(1, 2), (2, 3)], 6),
        ([(1, 3), (2, 4)], 7),  # overlapping: hours 1 to 4 once
        ([(1, 4), (2, 3)], 7),
        ([(2, 3), (1, 2)], 6),  # in any order
        ([(3, 3)], 4),
        ([(-5, 1)], 5),  # only what lies after the arrival
        ([(-5, -1)], 4),
        ([(9, 11)], 6),  # late by five hours when it began, late by five when it ended
    ],
)
def test_a_pause_moves_a_target_by_its_length_once(pauses: list[sla.Pause], due: int) -> None:
    assert first_due(*pauses) == due


def test_a_pause_that_began_with_the_response_moves_the_resolution_alone() -> None:
    found = sla.targets(NOON, "P2", Policy(), [(NOON + HOUR, NOON + 2 * HOUR)], responded_ms=NOON + HOUR)

    assert found.first_response_due_ms == NOON + 4 * HOUR
    assert found.resolution_due_ms == NOON + 25 * HOUR


def test_what_nobody_has_triaged_is_held_to_p1() -> None:
    assert sla.targets(NOON, None, Policy()) == sla.targets(NOON, "P1", Policy())
