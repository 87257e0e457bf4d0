"""What an agent is told of a message: what waits is not given up, and what was stopped does not ask for a signature."""

from typing import Any

import pytest
from fastmcp import Client

from opspilot_mcp import proposals
from opspilot_mcp.app import App

Agent = Client[Any]


async def call(agent: Agent, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = (await agent.call_tool(tool, arguments)).structured_content
    assert answer is not None
    return answer


@pytest.fixture
async def proposed(agent: Agent) -> str:
    await call(agent, "create_ticket", subject="s", body="b", requester_email="dana@example.com")
    return str((await call(agent, "propose_reply", ticket_id="T-1", body="Hello"))["id"])


async def people_say(app: App, message: str, outcome: proposals.Outcome, detail: str) -> None:
    await app.write(proposals.mirror, message, outcome, detail=detail, now=app.now())


async def test_a_message_whose_signature_ran_out_still_waits(agent: Agent, app: App, proposed: str) -> None:
    await people_say(app, proposed, "expired", "sign again; a person must sign it")

    told = await call(agent, "request_approval", proposal_id=proposed)
    waiting = await call(agent, "list_approvals")

    assert "must sign it again" in told["next"]
    assert "propose it again" not in told["next"]
    assert [one["id"] for one in waiting["approvals"]] == [proposed]


@pytest.mark.parametrize(("hold", "state"), [(False, "withdrawn"), (True, "held")])
async def test_what_was_stopped_does_not_ask_for_a_signature(
    agent: Agent, app: App, proposed: str, hold: bool, state: str
) -> None:
    await people_say(app, proposed, "pending", "content code ABCD-1234; a person must sign it")

    told = await call(agent, "withdraw_message", proposal_id=proposed, hold=hold)

    assert told["state"] == state
    assert "detail" not in told


async def test_people_s_words_stand_once_they_have_answered(agent: Agent, app: App, proposed: str) -> None:
    await call(agent, "withdraw_message", proposal_id=proposed, hold=True)
    await people_say(app, proposed, "held", "held by ana")

    told = await call(agent, "request_approval", proposal_id=proposed)

    assert (told["state"], told["detail"]) == ("held", "held by ana")


async def test_a_wrong_entry_of_a_list_is_named_by_its_place(agent: Agent) -> None:
    answer = await agent.call_tool("ingest_alerts", {"alerts": [{"id": "a"}, 5, "x"]}, raise_on_error=False)

    assert "alerts[1] must be an object; alerts[2] must be an object." in str(answer.content)
