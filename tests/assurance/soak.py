"""The soak of F01: agents over real stdio servers, a person, dispatchers, and a killer, all on one home at once.

Each agent is an MCP client whose server is a process of its own; when its server dies in a call, the agent starts
another and repeats the call under the same idempotency key, as an agent framework does. The person signs whatever
waits. The killer ends servers and dispatchers with SIGKILL at random and starts dispatchers again.
"""

import asyncio
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from fastmcp.exceptions import ToolError

from opspilot_mcp import clock
from opspilot_mcp.errors import OpsPilotError
from opspilot_mcp.gate import running
from opspilot_mcp.gate.home import Home
from tests.assurance.sinks import HOOK_SECRET, Sinks, open_sinks
from tests.gate.conftest import House
from tests.gate.sinks import WebSink, web_server
from tests.tools.wire import environment

POLICY = (
    '[limits]\nproposals_per_hour = 100000\n[channels]\nreplies = "smtp"\noncall = "slack"\nhook = "webhook"\n'
    'keyed = "webhook"\nfiled = "file"\n'
)
CHANNELS = ("replies", "oncall", "hook", "keyed", "filed")
_CALL_S = 20.0


@dataclass(frozen=True)
class Plan:
    """How hard to try: agents with so many messages each, dispatchers, and for how long processes are killed."""

    agents: int
    messages: int
    dispatchers: int
    seconds: float
    kill_every_s: float


@dataclass
class Wires:
    """The sinks, and a webhook that is told to drop repeats."""

    plain: Sinks
    keyed: WebSink

    @property
    def settings(self) -> str:
        private = f'allow_private = ["127.0.0.1:{self.keyed.port}", '
        return self.plain.settings.replace("allow_private = [", private).replace(
            "[limits]", "[approval]\nundo_seconds = 1\n[limits]"
        ) + (
            f'[channels.keyed]\nkind = "webhook"\nurl = "http://127.0.0.1:{self.keyed.port}/in"\n'
            'secret_env = "OPSPILOT_GATE_HOOK"\nidempotent = true\n'
        )

    @property
    def once(self) -> list[bytes]:
        """What arrived: everything where a repeat would be a fault, each key once where the receiver drops repeats."""
        return [*self.plain.arrived, *{headers["webhook-id"]: body for _, headers, body in self.keyed.arrived}.values()]


@contextmanager
def open_wires() -> Iterator[Wires]:
    """Run all sinks, and name their secrets in this process's environment, for the dispatchers."""
    with open_sinks() as plain, web_server() as keyed:
        secrets = {"OPSPILOT_GATE_HOOK": HOOK_SECRET, "OPSPILOT_GATE_SLACK": plain.slack_url}
        before = {name: os.environ.get(name) for name in secrets}
        os.environ.update(secrets)
        try:
            yield Wires(plain, keyed)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


@dataclass
class Street:
    """Everything that runs, and what was counted."""

    house: House
    plan: Plan
    rng: random.Random
    dispatchers: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)  # key -> PR-9, as the agents were told
    counted: Counter[str] = field(default_factory=Counter)
    busy: bool = True

    def pid_file(self, agent: int) -> Path:
        return self.house.root.parent / f"agent-{agent}.pid"


async def run(street: Street) -> None:
    """Run the plan: kill for its time, let the agents finish, let the person and the dispatchers catch up."""
    street.dispatchers = [_dispatcher(street) for _ in range(street.plan.dispatchers)]
    try:
        people = [asyncio.create_task(_person(street)), asyncio.create_task(_killer(street))]
        await asyncio.gather(*(_agent(street, number) for number in range(street.plan.agents)))
        street.busy = False
        await asyncio.gather(*people)
    finally:
        for process in street.dispatchers:
            process.kill()
            process.wait()


def _dispatcher(street: Street) -> "subprocess.Popen[bytes]":
    root = street.house.root
    return running.start("opspilot_mcp.gate.running", [str(root)], home=Home(root), with_secrets=True)


# -- an agent ----------------------------------------------------------------------------------------------------------


class Agent:
    """An MCP client that starts its server anew whenever it died, and repeats what it does not know the end of."""

    def __init__(self, street: Street, number: int) -> None:
        self._street, self._number = street, number
        self._stack: AsyncExitStack | None = None
        self._client: Client[Any] | None = None

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Return a call's answer, {} where it was refused."""
        while True:
            try:
                client = self._client or await self._start()
                answer = await asyncio.wait_for(client.call_tool(tool, arguments), _CALL_S)
                return dict(answer.structured_content or {})
            except ToolError as error:
                if "busy" not in str(error) and "locked" not in str(error):
                    self._street.counted["refused"] += 1
                    return {}
            except Exception:  # whatever a client makes of a server that was killed
                self._street.counted["calls repeated"] += 1
                await self.stop()

    async def _start(self) -> Client[Any]:
        script = (
            f"echo $$ > {shlex.quote(str(self._street.pid_file(self._number)))}; exec {sys.executable} -m opspilot_mcp"
        )
        log = self._street.house.root.parent / f"agent-{self._number}.log"
        env = environment(self._street.house.root)
        transport = StdioTransport("/bin/sh", ["-c", script], env=env, log_file=log, keep_alive=False)
        self._stack = AsyncExitStack()
        client: Client[Any] = await self._stack.enter_async_context(Client(transport, init_timeout=60))
        self._client = client
        self._street.counted["servers started"] += 1
        return client

    async def stop(self) -> None:
        stack, self._stack, self._client = self._stack, None, None
        if stack is not None:
            with suppress(Exception):
                await asyncio.wait_for(stack.aclose(), 10)


async def _agent(street: Street, number: int) -> None:
    agent, rng = Agent(street, number), random.Random(f"{street.plan.seconds}-{number}")
    pause = street.plan.seconds / street.plan.messages
    for one in range(street.plan.messages):
        began = time.monotonic()
        key = f"soak-{number}-{one}"
        mail = f"c{number}.{one}@example.com"
        ticket = await agent.call(
            "create_ticket", subject=key, body="b", requester_email=mail, idempotency_key=f"t-{key}"
        )
        made = await _propose(agent, rng, ticket["id"], key)
        street.ids[key] = made["id"]
        wish = rng.choice(("none", "none", "none", "withdraw", "hold", "hold another"))
        if wish != "none":
            whose = made["id"] if wish != "hold another" else rng.choice(list(street.ids.values()))
            await agent.call("withdraw_message", proposal_id=whose, hold=wish != "withdraw")
            street.counted[f"asked to {wish}"] += 1
        await asyncio.sleep(max(0.0, pause - (time.monotonic() - began)))
    await agent.stop()


async def _propose(agent: Agent, rng: random.Random, ticket: str, key: str) -> dict[str, Any]:
    channel = rng.choice(CHANNELS)
    if channel == "replies":
        return await agent.call("propose_reply", ticket_id=ticket, body=f"Answer {key}", idempotency_key=key)
    return await agent.call(
        "post_escalation_alert", id=ticket, channel=channel, message=f"Page {key}", idempotency_key=key
    )


# -- the person --------------------------------------------------------------------------------------------------------


async def _person(street: Street) -> None:
    """Sign what waits, lift what is held, until the agents are done and nothing waits any more."""
    deadline = time.monotonic() + street.plan.seconds + 120
    while street.busy or await _open(street):
        assert time.monotonic() < deadline, f"still open: {await _open(street)}"
        with suppress(OpsPilotError):
            await street.house.gate.sync(now=clock.now_ms())
        for message in await street.house.gate.pending(limit=100):
            if message.state in ("pending", "expired"):
                await _decide(street, "signed", street.house.approve(message.id, now=clock.now_ms()))
            elif message.state == "held" and street.rng.random() < 0.3:
                session = street.house.session("ana", clock.now_ms())
                await _decide(street, "lifted", street.house.gate.lift(session, message.id, now=clock.now_ms()))
        await asyncio.sleep(0.3)


async def _decide(street: Street, what: str, decision: Awaitable[object]) -> None:
    try:
        await decision
        street.counted[what] += 1
    except OpsPilotError:  # somebody was first
        street.counted["decided by somebody else"] += 1


async def _open(street: Street) -> int:
    """Return how many messages still wait for the gate or a person; one whose sender was killed waits out its lease."""
    counts = await street.house.gate.counts()
    waiting = sum(counts.get(state, 0) for state in ("pending", "expired", "approved", "retry", "held"))
    return waiting + len(street.ids) - len({*await _known(street)} & {*street.ids.values()})


async def _known(street: Street) -> list[str]:
    return [
        f"PR-{number}"
        for number in await street.house.gate.db.read(
            lambda conn: conn.exec_driver_sql("SELECT proposal FROM messages").scalars().all()
        )
    ]


# -- the killer --------------------------------------------------------------------------------------------------------


async def _killer(street: Street) -> None:
    """Kill a random process again and again for the plan's time; a dispatcher is started again at once."""
    ends = time.monotonic() + street.plan.seconds
    while time.monotonic() < ends:
        await asyncio.sleep(street.rng.uniform(0.5, 1.5) * street.plan.kill_every_s)
        victim = street.rng.randrange(street.plan.agents + street.plan.dispatchers)
        if victim < street.plan.agents:
            _kill_server(street, victim)
        else:
            _kill_dispatcher(street, victim - street.plan.agents)


def _kill_server(street: Street, agent: int) -> None:
    with suppress(OSError, ValueError):
        os.kill(int(street.pid_file(agent).read_text()), signal.SIGKILL)
        street.counted["servers killed"] += 1
        street.pid_file(agent).unlink()


def _kill_dispatcher(street: Street, number: int) -> None:
    process = street.dispatchers[number]
    process.kill()
    process.wait()
    street.counted["dispatchers killed"] += 1
    street.dispatchers[number] = _dispatcher(street)
