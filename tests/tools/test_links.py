"""What an agent sees and may do of links between tickets and incidents: its own word, never a person's."""

from typing import Any

import pytest
from fastmcp import Client
from fastmcp.exceptions import ToolError

from opspilot_mcp.app import App
from opspilot_mcp.insights import impact
from tests.aiops.storms import alert, estate, fault, fold
from tests.builders import stored_ticket
from tests.conftest import MINUTE, NOON

Agent = Client[Any]


@pytest.fixture(autouse=True)
async def _desk(app: App) -> None:
    """INC-1 at cart-db and cart, and T-1, T-2 about it."""
    at = NOON + MINUTE
    await app.db.write(estate)
    await app.db.write(fold, [fault(1), alert(2, at=20)])
    for n in range(2):
        await app.db.write(stored_ticket, subject="Help", body=f"My cart is empty, {n}.", now=at, created_ms=at)


async def call(agent: Agent, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = (await agent.call_tool(tool, arguments)).structured_content
    assert answer is not None
    return answer


async def link(agent: Agent, action: str = "link_ticket", ticket_id: str | None = "T-1") -> dict[str, Any]:
    return await call(agent, "update_incident", incident_id="INC-1", action=action, ticket_id=ticket_id)


async def test_a_suggestion_becomes_the_agents_link_and_is_shown_as_such(agent: Agent) -> None:
    before = await call(agent, "get_incident", incident_id="INC-1")
    answer = await link(agent)
    after = await call(agent, "get_incident", incident_id="INC-1")

    ticket = await call(agent, "get_ticket", ticket_id="T-1", full=True)
    assert "explains" not in before
    assert answer["result"] == "applied"
    assert [(one["id"], one["by"], "confirmed" in one) for one in after["explains"]] == [("T-1", "agent:test", False)]
    assert [one["id"] for one in after["may_explain"]] == ["T-2"]
    assert [one["id"] for one in ticket["explained_by"]] == ["INC-1"]
    assert "may_be_explained_by" not in ticket


async def test_a_persons_link_is_shown_as_confirmed_and_stays(agent: Agent, app: App) -> None:
    await app.db.write(impact.confirm, "INC-1", "T-1", by="person:ana", now=NOON)

    with pytest.raises(ToolError, match="A person linked"):
        await link(agent, "unlink_ticket")
    (shown,) = (await call(agent, "get_incident", incident_id="INC-1"))["explains"]

    assert (shown["by"], shown["confirmed"]) == ("person:ana", True)
    assert (await link(agent))["result"] == "unchanged"


async def test_an_agents_own_link_is_taken_back(agent: Agent) -> None:
    await link(agent)

    answer = await link(agent, "unlink_ticket")

    assert answer["result"] == "applied"
    assert "explains" not in await call(agent, "get_incident", incident_id="INC-1")


async def test_resolving_names_the_tickets_that_wait_for_the_news(agent: Agent) -> None:
    await link(agent)

    answer = await call(agent, "update_incident", incident_id="INC-1", action="resolve")

    assert answer["next"] == "1 linked: T-1. propose_reply tells their requesters."


async def test_a_link_without_a_ticket_says_what_is_missing(agent: Agent) -> None:
    with pytest.raises(ToolError, match="Give `ticket_id`"):
        await link(agent, ticket_id=None)
