"""One `triage_ticket` on a large desk, over stdio, beside a no-op call of a bare FastMCP server in the same run.

    python -m benchmarks.triage_latency [--tickets 50000] [--reviews 1000] [--calls 300]

The desk holds made tickets whose words are as frequent as in a language (Zipf), `--reviews` of them reviewed by a
person, so that the learner, the nearest tickets and the P1 net all have work. Every timed call reads, decides and
stores another ticket. The calls take turns with the no-op, so that a busy moment meets both alike; the CPU time of
the server's process beside them does not grow with what else the machine does.
"""

import argparse
import asyncio
import os
import random
import tempfile
from itertools import accumulate
from pathlib import Path
from typing import Any

from benchmarks.server import BARE, NOW, OURS, Pipe, timed
from opspilot_mcp.desk import flow, learning, tickets
from opspilot_mcp.desk.tickets import NewTicket, Priority
from opspilot_mcp.policy import Policy
from opspilot_mcp.store import ids
from opspilot_mcp.store.db import Db, open_db
from opspilot_mcp.store.schema import DESK

VOCABULARY = 20_000
P1_EVERY = 30
_LETTERS = "abcdefghijklmnoprstuvw"
_POLICY = Policy()


def _words(dice: random.Random) -> list[str]:
    return ["".join(dice.choices(_LETTERS, k=dice.randint(4, 11))) for _ in range(VOCABULARY)]


class Texts:
    """Makes tickets: Zipf words, and a few that belong to the ticket's category or to P1s."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._words = _words(self._dice)
        self._weights = list(accumulate(1 / (rank + 10) for rank in range(VOCABULARY)))

    def ticket(self, number: int) -> NewTicket:
        category = number % len(_POLICY.desk.categories)
        own = self._words[100 + 40 * category : 140 + 40 * category]
        telling = self._dice.choices(own, k=8) + (self._words[60:64] if number % P1_EVERY == 0 else [])
        said = self._dice.choices(self._words, cum_weights=self._weights, k=80) + telling
        self._dice.shuffle(said)
        return NewTicket(subject=" ".join(said[:6]), body=" ".join(said[6:]), external_id=f"L-{number}")


async def fill(home: Path, size: int, reviews: int) -> None:
    """Store `size` tickets and let a person review the first `reviews` of them."""
    texts = Texts(1)
    async with open_db(home / "desk.db", DESK) as db:
        for start in range(0, size, 1000):
            batch = [texts.ticket(number) for number in range(start, min(size, start + 1000))]
            await db.write(tickets.receive_many, batch, actor="bench", source="import", policy=_POLICY, now=NOW)
        for start in range(0, reviews, 50):
            await _review(db, range(start, min(reviews, start + 50)))


async def _review(db: Db, numbers: range) -> None:
    def work(conn: Any) -> None:
        for number in numbers:
            shown = ids.shown("T", number + 1)
            seen = flow.read_all(conn, [shown], policy=_POLICY)
            flow.apply_all(conn, seen, policy=_POLICY, actor="bench", now=NOW)
            category = _POLICY.desk.categories[number % len(_POLICY.desk.categories)]
            p1: Priority | None = "P1" if number % P1_EVERY == 0 else None
            learning.review(conn, shown, category, by="person", policy=_POLICY, now=NOW, priority=p1)

    await db.write(work)


def measure(home: Path, *, first: int, calls: int) -> dict[str, list[float]]:
    """Return the ms of each call, warm-up left out."""
    bare, ours = Pipe(BARE, home), Pipe(OURS, home)
    took: dict[str, list[float]] = {"no-op (bare server)": [], "get_ticket": [], "triage_ticket": []}
    turns: list[tuple[str, Pipe, str]] = [
        ("no-op (bare server)", bare, "noop"),
        ("get_ticket", ours, "get_ticket"),
        ("triage_ticket", ours, "triage_ticket"),
    ]
    spent = dict.fromkeys(took, 0.0)
    for number in range(first, first + calls):
        for name, pipe, tool in turns:
            arguments = {} if pipe is bare else {"ticket_id": ids.shown("T", number + 1)}
            before = _cpu_s(pipe)
            took[name].append(timed(pipe, tool, arguments))
            spent[name] += _cpu_s(pipe) - before if number >= first + calls // 10 else 0.0
    bare.end()
    ours.end()
    for name, seconds in spent.items():
        print(f"{name:24} {1000 * seconds / (calls - calls // 10):.1f} ms of CPU a call, the mean")
    return {name: sorted(values[calls // 10 :]) for name, values in took.items()}


def _cpu_s(pipe: Pipe) -> float:
    """Return the CPU seconds a server's process has used, in ticks of 10 ms: only their sum over many calls counts."""
    fields = Path(f"/proc/{pipe.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _read_alone(home: Path, *, first: int, calls: int) -> list[float]:
    """Return the ms of the local reading alone: facts, learner, neighbours, net; no transport, nothing stored."""
    async with open_db(home / "desk.db", DESK) as db:
        wanted = [ids.shown("T", number + 1) for number in range(first, first + calls)]
        seen = await db.read(flow.read_all, wanted[: calls // 10], policy=_POLICY)
        for one in wanted[calls // 10 :]:
            seen += await db.read(flow.read_all, [one], policy=_POLICY)
    return sorted(one.took_ms for one in seen[calls // 10 :])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=50_000)
    parser.add_argument("--reviews", type=int, default=1_000)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--home", type=Path, help="Keep the desk here, and use it as it is when it is there.")
    parser.add_argument("--first", type=int, help="The first ticket to triage, for a desk that was used before.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = args.home or Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "desk.db").exists():
            asyncio.run(fill(home, args.tickets, args.reviews))
        first = args.first or args.reviews
        took = measure(home, first=first, calls=args.calls)
        took["local reading alone"] = asyncio.run(_read_alone(home, first=first + args.calls, calls=args.calls))
    print(f"{args.tickets} tickets, {args.reviews} reviewed; ms a call\n{'':24}{'p50':>10}{'p95':>10}{'p99':>10}")
    for name, values in took.items():
        cuts = [values[min(len(values) - 1, int(len(values) * part))] for part in (0.5, 0.95, 0.99)]
        print(f"{name:24}" + "".join(f"{cut:>10.2f}" for cut in cuts))


if __name__ == "__main__":
    main()
