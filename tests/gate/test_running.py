"""The supervisor behind `gate run`: it says once what is wrong and tries again ever more rarely."""

import asyncio
import socket
import sys
from collections.abc import Iterator

import pytest

from opspilot_mcp.gate import running
from opspilot_mcp.gate.running import Child
from tests.gate.conftest import House
from tests.gate.test_terminal import REPO, _beats, gate
from tests.tools.wire import environment

NO_SUCH = "opspilot_mcp.errors"  # a module without main: such a child dies at once


@pytest.fixture
def taken() -> Iterator[int]:
    """A port somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        yield int(held.getsockname()[1])


def dies(child: Child, now_s: float) -> float:
    """Start a child and wait for its death; returns after how long it is started again."""
    child.look(now_s)
    assert child.process is not None
    child.process.wait(30)
    child.look(now_s)
    return child.due_s - now_s


async def test_a_console_that_keeps_dying_is_tried_ever_more_rarely(
    house: House, taken: int, capfd: pytest.CaptureFixture[str]
) -> None:
    child, now_s, waits = Child(NO_SUCH, [], house.gate.home, port=taken), 1_000.0, []
    for _ in range(9):
        waits.append(dies(child, now_s))
        now_s = child.due_s

    wanted = [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, wanted, strict=True))
    assert capfd.readouterr().err.count(f"cannot use port {taken}") == 1


async def test_a_child_is_not_started_before_its_time_and_old_deaths_are_forgotten(house: House) -> None:
    child = Child(NO_SUCH, [], house.gate.home)
    wait = dies(child, 1_000.0)

    child.look(1_000.0 + wait - 0.001)
    early = child.process
    child.module = "opspilot_mcp.gate.running"
    child.arguments = [str(house.root)]
    child.look(1_000.0 + wait)
    child.look(1_000.0 + wait + running.LONGEST_WAIT_S + 0.001)

    assert child.process is not None
    child.process.kill()
    child.process.wait()
    assert (early, child.deaths, child.said) == (None, 0, "")


async def test_gate_run_on_a_taken_port_ends_at_once_and_names_the_option(house: House, taken: int) -> None:
    done = gate(house.root, "run", "--port", str(taken))

    assert done.returncode == 2
    assert f"cannot use port {taken}" in done.stderr.decode()
    assert "--port" in done.stderr.decode()


async def test_the_dispatcher_keeps_running_while_the_console_cannot(house: House, taken: int) -> None:
    call = f"running.run(Path({str(house.root)!r}), console_port={taken})"
    code = f"from pathlib import Path; from opspilot_mcp.gate import running; {call}"
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=environment(house.root), cwd=REPO, stderr=asyncio.subprocess.PIPE
    )
    await _beats(house)
    await asyncio.sleep(6)
    await _beats(house)
    run.terminate()
    said = (await run.communicate())[1].decode()

    assert said.count(f"The console cannot use port {taken}") == 1
    assert said.count("Give another --port") <= 4  # the console's own words: a try at 0, 1, 3 and 7 s
