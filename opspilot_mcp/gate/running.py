"""The dispatcher as a process of its own, and the small supervisor behind `gate run`.

The dispatcher starts isolated: `python -I` (no PYTHONPATH, no user site, no current folder), its working folder the
gate's own, its environment cut down to a few names. Only it is given the variables that hold channel secrets.
"""

import asyncio
import ctypes
import importlib.util
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from opspilot_mcp import clock
from opspilot_mcp.errors import BadSetting, OpsPilotError
from opspilot_mcp.gate.home import Home
from opspilot_mcp.gate.service import Gate, GateReplaced

TURN_S = 1.0
_BEAT_S = 5.0
CONSOLE = "opspilot_mcp.console.app"
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SYSTEMROOT")
_SECRET_PREFIXES = ("OPSPILOT_GATE_", "OPSPILOT_CRASH_")
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
_PR_SET_DUMPABLE = 4  # linux/prctl.h
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); import importlib; "
    "sys.exit(importlib.import_module(sys.argv[2]).main(sys.argv[3:]))"
)


def main(arguments: list[str]) -> int:
    """Run the dispatcher of the home named first, until it is told to stop."""
    return as_process(lambda: asyncio.run(dispatch_forever(Path(arguments[0]), console="".join(arguments[1:2]))))


def as_process(work: Callable[[], object]) -> int:
    """Do what a process of people's side is there for, its files and memory private; returns its exit code.

    An error of ours becomes one sentence on stderr and code 1.
    """
    os.umask(0o077)
    keep_memory_private()
    try:
        work()
    except OpsPilotError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def keep_memory_private() -> None:
    """Leave no core file with secrets in it; on Linux, let no process of the same user read this one's memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


async def dispatch_forever(root: Path, *, console: str = "") -> None:
    """Take one turn a second. A desk that cannot be read is said once a change; the gate goes on trying.

    `console` is the address people sign at, for the heartbeat.
    """
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    gate, said = await Gate.open(root), ""
    gate.console = console
    beating = asyncio.create_task(_beat(gate))
    try:
        while not stop.is_set():
            said = await _turn(gate, said)
            try:
                await asyncio.wait_for(stop.wait(), TURN_S)
            except TimeoutError:
                continue
    finally:
        beating.cancel()
        await gate.close()


async def _beat(gate: Gate) -> None:
    """Say that the gate runs, also while a turn waits for a slow mail server."""
    while True:
        await asyncio.sleep(_BEAT_S)
        with suppress(OpsPilotError):
            await gate.beat(now=clock.now_ms())


async def _turn(gate: Gate, said: str) -> str:
    """Take one turn; return what is wrong, "" when nothing is, after saying it when it is new."""
    try:
        await gate.tick(now=clock.now_ms(), clock_ms=clock.now_ms)
        trouble = ""
    except GateReplaced:  # this process ends; the supervisor starts one that looks at the new file
        raise
    except OpsPilotError as error:
        trouble = str(error)
    if trouble != said:
        sys.stderr.write(f"{clock.iso(clock.now_ms())} {trouble or 'The gate works again.'}\n")
        sys.stderr.flush()
    return trouble


# -- the supervisor ----------------------------------------------------------------------------------------------------


def clean_environment(env: Mapping[str, str], *, with_secrets: bool) -> dict[str, str]:
    """Return the few variables a child gets: no loader or interpreter settings, secrets only for the dispatcher."""
    kept = {name: env[name] for name in _KEPT if name in env}
    if with_secrets:
        kept |= {name: value for name, value in env.items() if name.startswith(_SECRET_PREFIXES)}
    return kept


def start(module: str, arguments: list[str], *, home: Home, with_secrets: bool) -> "subprocess.Popen[bytes]":
    """Start one of the gate's processes, isolated."""
    package_parent = str(Path(__file__).resolve().parents[2])
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _BOOT, package_parent, module, *arguments],
        cwd=home.gate,
        env=clean_environment(os.environ, with_secrets=with_secrets),
        stdin=subprocess.DEVNULL,
    )


def check_port(port: int) -> None:
    """Raise BadSetting where the console could not listen: better said at once than tried again for ever."""
    if why := _port_trouble(port):
        raise BadSetting(why)


def _port_trouble(port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            said = error.strerror if isinstance(error, OSError) else "no such port"
            return f"The console cannot use port {port} ({said}). Stop what uses it, or give another with --port."
    return ""


@dataclass
class Child:
    """One of the gate's processes and when it is started again. A child that keeps dying is tried ever more rarely."""

    module: str
    arguments: list[str]
    home: Home
    with_secrets: bool = False
    port: int | None = None
    process: "subprocess.Popen[bytes] | None" = None
    due_s: float = 0.0
    started_s: float = 0.0
    deaths: int = 0
    said: str = ""

    def look(self, now_s: float) -> None:
        """Start the child when it is time, note its death, forget old deaths once it has lived for a minute."""
        if self.process is None:
            if now_s >= self.due_s:
                self.process = start(self.module, self.arguments, home=self.home, with_secrets=self.with_secrets)
                self.started_s = now_s
        elif (code := self.process.poll()) is not None:
            self._mourn(code, now_s)
        elif self.deaths and now_s - self.started_s > LONGEST_WAIT_S:
            self.deaths, self.said = 0, ""

    def _mourn(self, code: int, now_s: float) -> None:
        """Plan the next start, with jitter so that two children do not come back as one; say once what is wrong."""
        self.process = None
        self.deaths += 1
        self.due_s = now_s + min(FIRST_WAIT_S * 2 ** (self.deaths - 1), LONGEST_WAIT_S) * random.uniform(0.5, 1)  # noqa: S311
        name = "console" if self.port is not None else "dispatcher"
        trouble = _port_trouble(self.port) if self.port is not None else ""
        said = trouble or f"The {name} stopped with code {code}; what it said stands above. It is started again."
        if said != self.said:
            sys.stderr.write(f"{clock.iso(clock.now_ms())} {said}\n")
            sys.stderr.flush()
        self.said = said


def run(root: Path, *, console_port: int | None) -> None:
    """Run dispatcher and console until a signal; a child that dies is started again.

    The console is named, not imported: it stands above the gate. It is left out where it is not installed.
    """
    home = Home(root.absolute())
    dispatcher = Child("opspilot_mcp.gate.running", [str(home.root)], home, with_secrets=True)
    children = [dispatcher]
    if console_port is not None and importlib.util.find_spec(CONSOLE) is not None:
        dispatcher.arguments.append(f"http://127.0.0.1:{console_port}")
        children.append(Child(CONSOLE, [str(home.root), str(console_port)], home, port=console_port))
    stopping: list[int] = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, _frame: stopping.append(number))
    while not stopping:
        for child in children:
            child.look(time.monotonic())
        time.sleep(0.2)
    _end([child.process for child in children if child.process is not None])


def _end(children: "list[subprocess.Popen[bytes]]") -> None:
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
