"""Start-up and calls of the agents' door over stdio, beside a bare one-tool FastMCP server in the same run.

    python -m benchmarks.server [--starts 10] [--calls 300] [--sizes 1000 100000] [--json]

Start-up is the CPU (user + system) of the server process until its first tools/list answer, the runs interleaved,
the median of `--starts` after one warm-up. Calls are timed at the client and take
turns, on a desk of each size.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from opspilot_mcp.desk import tickets
from opspilot_mcp.desk.moves import Changes
from opspilot_mcp.desk.moves import update as update_ticket
from opspilot_mcp.desk.tickets import NewTicket
from opspilot_mcp.policy import Policy
from opspilot_mcp.store.db import Db, open_db
from opspilot_mcp.store.schema import DESK

NOW = 1_790_000_000_000
HERE = Path(__file__).parent
BARE = [sys.executable, str(HERE / "bare_server.py")]
OURS = [sys.executable, "-m", "opspilot_mcp"]
WORDS: tuple[str, ...] = ("invoice", "export", "login", "payment", "report", "calendar", "printer", "sync")
WORDS += ("dashboard", "password", "webhook", "billing", "seat", "api")
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "0"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Pipe:
    """A server process and raw JSON-RPC to it: no client library between the clock and the pipe."""

    def __init__(self, command: list[str], home: Path) -> None:
        env = {**os.environ, "OPSPILOT_HOME": str(home)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env
        )
        self._number = 0

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": {**params, "_meta": META}}
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        while True:
            answer: dict[str, Any] = json.loads(self.process.stdout.readline())
            if answer.get("id") == self._number:
                return answer

    def end(self) -> float:
        """Kill the process; returns its CPU seconds."""
        os.kill(self.process.pid, signal.SIGKILL)
        _, _, usage = os.wait4(self.process.pid, 0)
        return usage.ru_utime + usage.ru_stime


def start_up(command: list[str], home: Path) -> float:
    pipe = Pipe(command, home)
    pipe.ask("server/discover")
    assert pipe.ask("tools/list")["result"]["tools"]
    return pipe.end()


def timed(pipe: Pipe, name: str, arguments: dict[str, Any]) -> float:
    """Return the ms of one call."""
    started = time.perf_counter()
    answer = pipe.ask("tools/call", name=name, arguments=arguments)
    took = (time.perf_counter() - started) * 1000
    assert not answer["result"].get("isError"), answer
    return took


async def fill(home: Path, size: int) -> None:
    """Store `size` tickets with words of everyday frequency, a tenth of them triaged and set to a priority."""
    async with open_db(home / "desk.db", DESK) as db:
        for start in range(0, size, 2000):
            await _fill_batch(db, start, min(2000, size - start))


async def _fill_batch(db: Db, start: int, count: int) -> None:
    new = [
        NewTicket(
            subject=f"{WORDS[n % 14]} {WORDS[n // 14 % 14]} fails for case {n}",
            body=f"Since Monday the {WORDS[n // 3 % 14]} shows error E{n % 977} on the {WORDS[n // 7 % 14]} page. " * 3,
            requester_email=f"user{n % 5000}@example.com",
            external_id=f"B-{n}",
            created_ms=NOW - (n * 37 % 86_400) * 1000,
        )
        for n in range(start, start + count)
    ]

    def work(conn: Any) -> None:
        tickets.receive_many(conn, new, actor="bench", source="import", policy=Policy(), now=NOW)
        for n in range(start, start + count, 10):
            changes = Changes.model_validate({"priority": f"P{n % 4 + 1}"})
            update_ticket(conn, f"T-{n + 1}", changes, expected_version=None, actor="bench", policy=Policy(), now=NOW)

    await db.write(work)


def spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 3),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        found["start_up_cpu_s"] = _start_ups(Path(folder) / "empty", args.starts)
        found["calls_ms"] = {}
        for size in args.sizes:
            home = Path(folder) / str(size)
            home.mkdir()
            asyncio.run(fill(home, size))
            found["calls_ms"][size] = _calls(home, size, args.calls)
    print(json.dumps(found, indent=2) if args.json else _table(found))


def _start_ups(home: Path, starts: int) -> dict[str, float]:
    home.mkdir()
    bare: list[float] = []
    ours: list[float] = []
    for turn in range(starts + 1):  # the first turn warms the file cache and migrates
        pair = start_up(BARE, home), start_up(OURS, home)
        if turn:
            bare.append(pair[0])
            ours.append(pair[1])
    medians = statistics.median(bare), statistics.median(ours)
    return {"bare": round(medians[0], 3), "opspilot": round(medians[1], 3), "ratio": round(medians[1] / medians[0], 3)}


def _calls(home: Path, size: int, calls: int) -> dict[str, dict[str, float]]:
    """Return p50 and p99 of each call in ms. The calls take turns, so that a busy moment meets all of them alike."""
    bare, ours = Pipe(BARE, home), Pipe(OURS, home)
    took: dict[str, list[float]] = {}
    for n in range(calls):
        turns: list[tuple[str, Pipe, str, dict[str, Any]]] = [
            ("noop (bare server)", bare, "noop", {}),
            ("get_ticket", ours, "get_ticket", {"ticket_id": f"T-{n * 7919 % size + 1}"}),
            ("list_open_tickets", ours, "list_open_tickets", {}),
            ("list_open_tickets priority=P2", ours, "list_open_tickets", {"priority": "P2"}),
            ("search_tickets", ours, "search_tickets", {"text": "invoice export fails E17"}),
        ]
        for name, pipe, tool, arguments in turns:
            took.setdefault(name, []).append(timed(pipe, tool, arguments))
    bare.end()
    ours.end()
    # The first tenth of the calls warms the caches.
    return {name: spread(values[calls // 10 :]) for name, values in took.items()}


def _table(found: dict[str, Any]) -> str:
    start = found["start_up_cpu_s"]
    lines = [
        f"CPU to first tools/list: bare {start['bare']} s, opspilot {start['opspilot']} s, ratio {start['ratio']}",
        f"{'ms a call over stdio':32}{'tickets':>10}{'p50':>10}{'p99':>10}",
    ]
    for size, calls in found["calls_ms"].items():
        lines += [f"{name:32}{size:>10}{one['p50']:>10}{one['p99']:>10}" for name, one in calls.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
