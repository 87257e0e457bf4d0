"""A house whose every sink is watched: after each test the invariant is checked over all bytes that left."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client

from opspilot_mcp.app import App
from opspilot_mcp.policy import Policy
from opspilot_mcp.server import build_server
from opspilot_mcp.settings import Settings
from tests.assurance import invariant
from tests.assurance.forks import Dispatchers, open_forks
from tests.assurance.sinks import HOOK_SECRET, Sinks, open_sinks
from tests.conftest import FakeClock, lend
from tests.console.conftest import ana, app, open_browser, stranger, time
from tests.gate.conftest import NOON, House, open_house, template

__all__ = ["ana", "app", "open_browser", "stranger", "template", "time"]  # fixtures

BENCH = Path(os.environ.get("OPSPILOT_BENCH", Path(__file__).parents[3] / "shared" / "bench"))
ALIASES = Policy.model_validate(
    {"channels": {"replies": "smtp", "oncall": "slack", "hook": "webhook"}, "limits": {"proposals_per_hour": 10_000}}
)


@pytest.fixture
def wires() -> list[bytes]:
    """What reached a sink outside the house; a test adds to it, the house's end checks it."""
    return []


@pytest.fixture
async def house(tmp_path: Path, template: Path, wires: list[bytes]) -> AsyncIterator[House]:
    """A home with one approver, ana; the invariant holds at its end or the test fails."""
    root = Path(shutil.copytree(template, tmp_path / "home"))
    made = await open_house(root)
    yield made
    await made.gate.close()
    await made.desk.close()
    invariant.check(root, wires)


@pytest.fixture
def sinks(wires: list[bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Sinks]:
    """A mail server, a Slack and a webhook on loopback; their bytes go into the invariant."""
    monkeypatch.setenv("OPSPILOT_GATE_HOOK", HOOK_SECRET)
    with open_sinks() as opened:
        monkeypatch.setenv("OPSPILOT_GATE_SLACK", opened.slack_url)
        yield opened
    wires += opened.arrived


@pytest.fixture(scope="session")
def forks() -> Iterator[Dispatchers]:
    """Dispatchers as processes of their own, quick to start."""
    env = {**os.environ, "OPSPILOT_GATE_HOOK": HOOK_SECRET}
    with open_forks(env) as opened:
        yield opened


@asynccontextmanager
async def agent_of(house: House, *, principal: str = "agent:claude", now: int = NOON) -> AsyncIterator[Client[Any]]:
    """An MCP client, in memory, at the desk of a house."""
    opened = App(
        db=house.desk,
        policy=ALIASES,
        settings=Settings(home=house.root),
        principal=principal,
        now=FakeClock(now),
    )
    async with Client(build_server(lend(opened))) as client:
        yield client


async def ask(client: Client[Any], tool: str, **arguments: Any) -> dict[str, Any]:
    """Return the structured answer of a call that must succeed."""
    answer: dict[str, Any] = (await client.call_tool(tool, arguments)).structured_content or {}
    return answer


async def try_to(client: Client[Any], tool: str, **arguments: Any) -> str:
    """Return the text of a call's answer, refused or not."""
    result = await client.call_tool(tool, arguments, raise_on_error=False)
    return " ".join(getattr(block, "text", "") for block in result.content)
