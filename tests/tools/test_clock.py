"""What a model is told about time: how much of it is left, in the hours the priority is held to."""

from datetime import UTC, datetime
from typing import Any

import pytest
from fastmcp import Client

from opspilot_mcp.policy import Policy
from tests.conftest import FakeClock

FRIDAY = int(datetime(2026, 3, 6, 16, tzinfo=UTC).timestamp() * 1000)
HOUR = 3_600_000


@pytest.fixture
def policy() -> Policy:
    """A desk whose P3 is held to office hours, 8 to 17 from Monday to Friday."""
    office = {"zone": "UTC", "hours": {day: ["08:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}}
    minutes = {"first_response_minutes": 120, "resolution_minutes": 480}
    promises = dict.fromkeys(("P1", "P2", "P4"), minutes) | {"P3": {**minutes, "calendar": "office"}}
    return Policy.model_validate({"calendars": {"office": office}, "sla": promises})


@pytest.mark.parametrize(
    ("hours", "office", "around_the_clock"),
    [(0, "2 h 00 min", "2 h 00 min"), (10, "1 h 00 min", "-8 h 00 min"), (66, "-1 h 00 min", "-2 d 16 h")],
)
async def test_time_left_is_told_in_the_hours_a_priority_is_held_to(
    agent: Client[Any], clock: FakeClock, hours: int, office: str, around_the_clock: str
) -> None:
    clock.now = FRIDAY
    for priority in ("P3", "P4"):
        made = await agent.call_tool("create_ticket", {"subject": priority, "body": "x"})
        await agent.call_tool("update_ticket", {"ticket_id": made.data.id, "priority": priority})
    clock.now = FRIDAY + hours * HOUR

    queue = (await agent.call_tool("list_open_tickets", {})).structured_content or {}
    one = (await agent.call_tool("get_ticket", {"ticket_id": "T-1"})).structured_content or {}

    told = {row["priority"]: row["time_left"] for row in queue["tickets"]}
    assert told == {"P3": office, "P4": around_the_clock}
    assert one["clock"]["time_left"] == office
