"""Dispatcher processes by the hundred: one Python that has loaded everything forks a child for each."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

REPO = Path(__file__).parents[2]
Job = tuple[Path, int, str]  # home, now, crash label

# Single-threaded until the fork, so that a child starts as a fresh process would.
_SERVER = """
import asyncio, json, os, sys
from pathlib import Path
import opspilot_mcp.store.migrate, alembic.command
from opspilot_mcp.gate.service import Gate

async def turn(root, now):
    gate = await Gate.open(Path(root), now=now)
    try:
        for _ in range(3):
            await gate.tick(now=now)
    finally:
        await gate.close()

for line in sys.stdin:
    children = []
    for root, now, label in json.loads(line):
        pid = os.fork()
        if pid == 0:
            os.environ["OPSPILOT_CRASH_AT"] = label
            code = 1
            try:
                asyncio.run(turn(root, now))
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    print(json.dumps(codes), flush=True)
"""


class Dispatchers:
    """Runs dispatchers to their end and returns their exit codes; -9 is a crash where the label asked for one."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def together(self, jobs: Sequence[Job]) -> list[int]:
        """Run all jobs at the same time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([[str(root), now, label] for root, now, label in jobs]) + "\n")
        self._process.stdin.flush()
        codes: list[int] = json.loads(self._process.stdout.readline())
        return codes

    def one(self, root: Path, now: int, label: str = "") -> int:
        return self.together([(root, now, label)])[0]


@contextmanager
def open_forks(env: dict[str, str]) -> Iterator[Dispatchers]:
    """Start the forking process; channel secrets are in `env`."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER], cwd=REPO, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Dispatchers(process)
    finally:
        process.kill()
        process.communicate()
