"""The whole walk through real processes: an agent proposes, a person decides at the console, mail arrives."""

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

from opspilot_mcp import clock
from tests.builders import stored_ticket
from tests.console.conftest import Browser
from tests.gate.conftest import PASSPHRASE, House
from tests.gate.sinks import Mailbox, free_port, mail_server

SETTINGS = """\
[approval]
undo_seconds = 3
[network]
allow_private = ["127.0.0.1:{port}"]
[channels.replies]
kind = "smtp"
host = "127.0.0.1"
port = {port}
tls = "none"
"""


async def propose(home: Path, ticket_ids: list[str]) -> list[str]:
    """Propose a reply to each ticket as an agent's client does: a subprocess, MCP over stdio."""
    transport = StdioTransport(sys.executable, ["-m", "opspilot_mcp"], env={"OPSPILOT_HOME": str(home)})
    async with Client(transport) as agent:
        made = [
            await agent.call_tool("propose_reply", {"ticket_id": one, "body": f"Draft about {one}."})
            for one in ticket_ids
        ]
    return [str(answer.structured_content["id"]) for answer in made]


@contextmanager
def gate_run(home: Path, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "opspilot_mcp", "gate", "run", "--port", str(port), "--home", str(home)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


async def listens(origin: str) -> bool:
    async with httpx.AsyncClient() as http:
        try:
            return (await http.get(f"{origin}/sign-in")).status_code == 200
        except httpx.TransportError:
            return False


async def decide(person: Browser, edited: str, undone: str) -> str:
    """Edit and sign one message, sign another and undo it; returns the digest shown for the first."""
    await person.sign_in()
    for message_id in (undone, edited):
        await person.get(f"/messages/{message_id}")
        if message_id == edited:
            await person.press(f"/messages/{edited}/edit", title="Your export", body="It works again.", then="look")
        shown = person.form(f"/messages/{message_id}/approve")["sha256"]
        await person.press(f"/messages/{message_id}/approve", recipient="dana@example.com", passphrase=PASSPHRASE)
        if message_id == undone:
            await person.press(f"/messages/{undone}/hold")
    return shown


async def until(done: Callable[[], Awaitable[bool]]) -> None:
    """Wait up to a minute for something other processes do."""
    for _ in range(300):
        if await done():
            return
        await asyncio.sleep(0.2)
    raise AssertionError("it did not happen within a minute")


async def was_taken(house: House, message_id: str) -> bool:
    return (await house.told(message_id)).outcome is not None


async def has_arrived(box: Mailbox) -> bool:
    return bool(box.arrived)


async def test_an_agent_proposes_a_person_decides_and_the_shown_bytes_arrive(house: House) -> None:
    tickets = [await house.desk.write(stored_ticket, now=clock.now_ms(), subject=f"Export {n}") for n in (1, 2)]
    edited, undone = await propose(house.root, [one.id for one in tickets])
    port = free_port()
    with mail_server() as box:
        house.gate.home.settings.write_text(SETTINGS.format(port=box.port))
        with gate_run(house.root, port):
            person = Browser(None, f"http://127.0.0.1:{port}")
            await until(lambda: listens(person.origin))
            await until(lambda: was_taken(house, undone))
            shown = await decide(person, edited, undone)
            await until(lambda: has_arrived(box))
            await person.http.aclose()

    assert [hashlib.sha256(one).hexdigest() for one in box.arrived] == [shown]
    assert box.recipients == ["dana@example.com"]
    assert (await house.told(edited)).state in ("sent", "sending")
    assert (await house.told(undone)).state == "held"
