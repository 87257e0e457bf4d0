"""The client is asked to open the console where it can; whatever it answers, only the gate's state counts."""

from typing import Any

import pytest
from fastmcp import Client
from sqlalchemy import Connection

from opspilot_mcp import proposals
from opspilot_mcp.app import App
from opspilot_mcp.server import build_server
from tests.conftest import NOON, lend

CONSOLE = "http://127.0.0.1:8642"


async def proposed(client: Client[Any]) -> str:
    await client.call_tool("create_ticket", {"subject": "Hi", "body": "Help", "requester_email": "a@example.com"})
    made = await client.call_tool("propose_reply", {"ticket_id": "T-1", "body": "Hello"})
    return str((made.structured_content or {})["id"])


def beat(conn: Connection, detail: str) -> None:
    proposals.beat(conn, now=NOON, killed=False, detail=detail)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_that_can_open_urls_is_pointed_at_the_message_and_approves_nothing(app: App, mode: Any) -> None:
    opened: list[str] = []

    async def open_it(message: str, response_type: Any, params: Any, context: Any) -> Any:
        opened.append(params.url)
        return {"approved": True}

    await app.db.write(beat, CONSOLE)
    async with Client(build_server(lend(app)), mode=mode, elicitation_handler=open_it) as client:
        number = await proposed(client)
        answer = await client.call_tool("request_approval", {"proposal_id": number})

    assert opened == [f"{CONSOLE}/messages/{number}"]
    assert (answer.structured_content or {})["state"] == "pending"


@pytest.mark.parametrize(
    "detail", ["", "quarantine", "http://evil.example:80", "http://127.0.0.1:8642/x", "javascript:1"]
)
async def test_only_a_console_on_this_machine_is_ever_named(app: App, detail: str) -> None:
    await app.db.write(beat, detail)

    state = await app.read(proposals.gate_state, now=NOON)

    assert (state.running, state.console) == (True, None)


async def test_a_client_without_urls_reads_where_a_person_signs(app: App) -> None:
    await app.db.write(beat, CONSOLE)
    async with Client(build_server(lend(app))) as client:
        number = await proposed(client)
        answer = await client.call_tool("request_approval", {"proposal_id": number})

    assert f"at {CONSOLE}/messages/{number}" in (answer.structured_content or {})["gate"]
