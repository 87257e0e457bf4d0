"""A call whose answer was lost may be repeated under its key, whatever happened to the desk meanwhile."""

from typing import Any

import pytest
from fastmcp import Client
from fastmcp.exceptions import ToolError

Agent = Client[Any]


async def call(agent: Agent, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = (await agent.call_tool(tool, arguments)).structured_content
    assert answer is not None
    return answer


@pytest.fixture
async def ticket(agent: Agent) -> str:
    made = await call(agent, "create_ticket", subject="s", body="b", requester_email="dana@example.com")
    return str(made["id"])


@pytest.mark.parametrize("moved", [{"priority": "P1"}, {"status": "closed"}, {"status": "pending"}])
@pytest.mark.parametrize(
    ("tool", "asked"),
    [
        ("propose_reply", {"ticket_id": "T-1", "body": "Hello"}),
        ("propose_reply", {"ticket_id": "T-1", "expected_version": 1}),
        ("post_escalation_alert", {"id": "T-1", "message": "Look"}),
    ],
)
async def test_a_repeated_proposal_gets_its_first_answer_though_the_ticket_moved_on(
    agent: Agent, ticket: str, tool: str, asked: dict[str, Any], moved: dict[str, str]
) -> None:
    await call(agent, "draft_reply", ticket_id=ticket, body="first draft")
    first = await call(agent, tool, **asked, idempotency_key="k")
    await call(agent, "draft_reply", ticket_id=ticket, body="second draft")
    await call(agent, "update_ticket", ticket_id=ticket, **moved)

    again = await call(agent, tool, **asked, idempotency_key="k")

    assert (first["is_new"], again["is_new"], again["id"]) == (True, False, first["id"])


async def test_a_repeated_page_gets_its_first_answer_though_the_storm_went_on(agent: Agent) -> None:
    alert = {"alertname": "Down", "service": "db", "ts": 1_700_000_000}
    await call(agent, "ingest_alerts", alerts=[{**alert, "id": "a1"}])
    await call(agent, "correlate_alerts")
    first = await call(agent, "post_escalation_alert", id="INC-1", idempotency_key="k")
    await call(agent, "ingest_alerts", alerts=[{**alert, "id": "a2", "ts": alert["ts"] + 60}])  # type: ignore[operator]
    await call(agent, "correlate_alerts")

    again = await call(agent, "post_escalation_alert", id="INC-1", idempotency_key="k")

    assert (again["is_new"], again["id"]) == (False, first["id"])


@pytest.mark.parametrize("other", [{"body": "Another text"}, {"ticket_id": "T-2"}])
async def test_a_key_used_for_another_request_is_refused(agent: Agent, ticket: str, other: dict[str, str]) -> None:
    await call(agent, "create_ticket", subject="2", body="2", requester_email="bo@example.com")
    asked = {"ticket_id": ticket, "body": "Hello", "idempotency_key": "k"}
    await call(agent, "propose_reply", **asked)

    with pytest.raises(ToolError, match="another request"):
        await call(agent, "propose_reply", **{**asked, **other})


async def test_a_closed_ticket_is_not_answered_for_the_first_time(agent: Agent, ticket: str) -> None:
    await call(agent, "update_ticket", ticket_id=ticket, status="closed")

    with pytest.raises(ToolError, match="is closed"):
        await call(agent, "propose_reply", ticket_id=ticket, body="Hello", idempotency_key="k")

    assert (await call(agent, "list_approvals", state="all"))["approvals"] == []
