"""The certificate on the desk's own path: tickets arrive one by one in a real database, people review what waits.

    python -m benchmarks.live_desk [--data FILE.jsonl.gz] [--tickets 1600] [--order 3]

Each ticket is received, scored, frozen and decided; one that waits for a person is reviewed with its true label and
learnt. Printed: the share routed without a person and the error among those, by halves, beside a naive gate that
trusts the same frozen score at 0.7. Source of the data: the ticket bench (Endava).
"""

import argparse
import asyncio
import gzip
import json
import random
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from opspilot_mcp.desk import flow, learning, tickets
from opspilot_mcp.desk.tickets import NewTicket
from opspilot_mcp.policy import Policy
from opspilot_mcp.store.db import open_db
from opspilot_mcp.store.schema import DESK, triages

NOW = 1_790_000_000_000
DATA = Path(__file__).parents[2] / "shared" / "bench" / "tickets" / "data" / "endava_dev.jsonl.gz"


class Outcome(NamedTuple):
    """One ticket: whether it passed without a person, its frozen score, and whether the frozen guess was right."""

    passed: bool
    score: float
    right: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--tickets", type=int, default=1600)
    parser.add_argument("--order", type=int, default=3)
    args = parser.parse_args()
    with gzip.open(args.data, "rt") as file:
        rows = [json.loads(line) for line in file]
    random.Random(args.order).shuffle(rows)
    done, words = asyncio.run(run(rows[: args.tickets]))
    half = len(done) // 2
    for name, part in (("first half", done[:half]), ("second half", done[half:])):
        print(f"{name:12} certificate {_share([one.passed for one in part], part)}")
        print(f"{'':12} naive 0.7   {_share([one.score >= 0.7 for one in part], part)}")
    print(f"gate: {words}")


def _share(passed: list[bool], part: list[Outcome]) -> str:
    wrong = [not one.right for one, goes in zip(part, passed, strict=True) if goes]
    error = sum(wrong) / len(wrong) if wrong else 0.0
    return f"auto share {sum(passed) / len(part):.3f}  error among auto {error:.3f}"


async def run(rows: list[dict[str, Any]]) -> tuple[list[Outcome], str]:
    names = sorted({_category(row["label"]) for row in rows})
    policy = Policy.model_validate({"desk": {"categories": names}, "gate": {"cold_start": "human"}})
    with tempfile.TemporaryDirectory() as folder:
        async with open_db(Path(folder) / "desk.db", DESK) as db:
            done: list[Outcome] = []
            for start in range(0, len(rows), 50):
                done += await db.write(_take, rows[start : start + 50], policy)
            state = await db.read(learning.load, policy)
    return done, state.gate.words()


def _category(label: str) -> str:
    return label.lower().replace(" ", "_").replace("/", "_")


def _take(conn: Connection, rows: list[dict[str, Any]], policy: Policy) -> list[Outcome]:
    return [_one(conn, row, policy) for row in rows]


def _one(conn: Connection, row: dict[str, Any], policy: Policy) -> Outcome:
    new = NewTicket(subject=row["subject"], body=row["body"], external_id=row["id"])
    stored = tickets.receive(conn, new, actor="bench", source="bench", verified=True, policy=policy, now=NOW).ticket
    seen = flow.read_all(conn, [stored.id], policy=policy)
    [triaged] = flow.apply_all(conn, seen, policy=policy, actor="bench", now=NOW)
    frozen = conn.execute(select(triages).where(triages.c.ticket_id == stored.number)).one()
    label = _category(row["label"])
    passed = triaged.ticket.status != "human_review"
    if not passed:
        learning.review(conn, stored.id, label, by="person", policy=policy, now=NOW)
    return Outcome(passed, frozen.score, frozen.predicted == label)


if __name__ == "__main__":
    main()
