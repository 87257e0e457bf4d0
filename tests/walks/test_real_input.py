"""Real tickets and real alerts, from an import through a real MCP client to a file a person signed in a terminal."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

from tests.walks.terminal import type_into

BENCH = Path(os.environ.get("OPSPILOT_BENCH", Path(__file__).parents[3] / "shared" / "bench"))
TICKETS = BENCH / "tickets" / "data" / "endava_dev.jsonl.gz"
TOPOLOGY = BENCH / "alerts" / "data" / "topologies" / "micross.json"
ALERTS = BENCH / "alerts" / "data" / "real_micross.jsonl.gz"
PASSPHRASE = "seven wet boots on a pier"

pytestmark = pytest.mark.skipif(not TICKETS.exists(), reason="the bench data is not on this machine")


def command(home: Path, *arguments: str) -> Any:
    env = {**os.environ, "OPSPILOT_HOME": str(home)}
    run = [sys.executable, "-m", "opspilot_mcp", *arguments]
    done = subprocess.run(run, env=env, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def agent_of(home: Path) -> Client[Any]:
    env = {**os.environ, "OPSPILOT_HOME": str(home)}
    return Client(StdioTransport(sys.executable, ["-m", "opspilot_mcp"], env=env, keep_alive=False))


async def ask(agent: Client[Any], name: str, **arguments: Any) -> dict[str, Any]:
    answer = await agent.call_tool(name, arguments)
    assert answer.structured_content is not None
    return answer.structured_content


@pytest.mark.long
async def test_real_tickets_and_alerts_reach_a_signed_file(tmp_path: Path) -> None:
    home = tmp_path / "home"
    imported = command(home, "import", "tickets", str(TICKETS), "--json")
    command(home, "import", "topology", str(TOPOLOGY), "--json")
    alerts = command(home, "import", "alerts", str(ALERTS), "--json")
    assert (imported["stored"], alerts["stored"]) == (2283, 8452)

    async with agent_of(home) as agent:
        await ask(agent, "create_ticket", subject="VPN", body="VPN drops hourly.", requester_email="kim@example.com")
        triaged = await ask(agent, "triage_ticket", limit=50)
        queue = await ask(agent, "list_open_tickets")
        folded = await ask(agent, "correlate_alerts")
        await ask(agent, "draft_reply", ticket_id="T-2284", body="Hello Kim,\n\nplease send us the log.\n")
        proposed = await ask(agent, "propose_reply", ticket_id="T-2284")
        paged = await ask(agent, "post_escalation_alert", id="INC-1")
    assert len(triaged["triaged"]) == 50
    assert (len(queue["tickets"]), queue["matching"]) == (20, "over 1000")
    assert folded["alerts"] == 8452
    assert folded["waiting"] == 0
    assert (proposed["state"], paged["state"]) == ("pending", "pending")

    shown = sign_in_the_terminal(home, proposed["id"])
    [sent] = (home / "gate" / "sent").iterdir()
    assert hashlib.sha256(sent.read_bytes()).hexdigest() == re.findall(r"\b[0-9a-f]{64}\b", shown)[0]
    assert b"please send us the log" in sent.read_bytes()
    async with agent_of(home) as agent:
        after = await ask(agent, "list_approvals", state="all")
    assert {row["id"]: row["state"] for row in after["approvals"]} == {proposed["id"]: "sent", paged["id"]: "pending"}


def sign_in_the_terminal(home: Path, message: str) -> str:
    """Set up the gate, read the message, sign it and let the dispatcher take one turn; returns what was shown."""
    new = [("New passphrase", PASSPHRASE), ("The same again", PASSPHRASE)]
    type_into(["gate", "init", "--as", "robin"], new, home=home)
    shown = type_into(
        ["gate", "approve", message, "--as", "robin"],
        [("Type the recipient", "kim@example.com"), ("Passphrase", PASSPHRASE)],
        home=home,
    )
    type_into(["gate", "tick"], [], home=home)
    return shown
