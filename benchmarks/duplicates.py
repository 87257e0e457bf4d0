"""Duplicates found by the desk's own search, at several sizes of answer, beside plain BM25 of every word.

    python -m benchmarks.duplicates [--bench DIR] [--arrival] [--show]

Needs the ticket bench's Hadoop reports (2,503 tickets, 129 queries with known duplicates). Recall@k is the share of a
query's duplicates among the first k, averaged over queries. Both rankings run on one migrated desk database.

`--arrival` asks another question: each report is compared with those before it, as tickets arrive, and at most one is
suggested. A suggestion is right when the pair is known; recall is over the reports whose known duplicate came before.
The reports are split in two halves by a hash of the pair, so that a threshold seen on one can be judged on the other.
The list of pairs holds what was resolved as a duplicate, and not every report that was filed twice: `--show` prints
what the desk's own rule suggests, to be read.
"""

import argparse
import asyncio
import gzip
import hashlib
import json
import math
import re
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from opspilot_mcp.desk import learner, similar, tickets
from opspilot_mcp.desk.tickets import NewTicket, Ticket
from opspilot_mcp.policy import Policy
from opspilot_mcp.store import ids
from opspilot_mcp.store.db import Db, open_db
from opspilot_mcp.store.schema import DESK

NOW = 1_790_000_000_000
KS = (1, 5, 10, 20)
BENCH = Path(__file__).parents[2] / "shared" / "bench" / "tickets" / "data"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=BENCH)
    parser.add_argument("--arrival", action="store_true")
    parser.add_argument("--show", action="store_true")
    args = parser.parse_args()
    with gzip.open(args.bench / "hadoop_dup.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    pairs = json.loads((args.bench / "hadoop_dup_pairs.json").read_text())
    if args.arrival or args.show:
        asyncio.run(arrival(rows, pairs, show=args.show))
        return
    for name, (recalls, took) in asyncio.run(measure(rows, pairs)).items():
        shown = "  ".join(f"recall@{k} {value:.3f}" for k, value in recalls.items())
        print(f"{name:26} {shown}  median {took:.1f} ms a query")


async def measure(rows: list[dict[str, Any]], pairs: Any) -> dict[str, tuple[dict[int, float], float]]:
    with tempfile.TemporaryDirectory() as folder:
        async with open_db(Path(folder) / "desk.db", DESK) as db:
            new = [NewTicket(subject=row["subject"], body=row["body"], external_id=row["id"]) for row in rows]
            for start in range(0, len(new), 500):
                batch = new[start : start + 500]
                await db.write(tickets.receive_many, batch, actor="bench", source="import", policy=Policy(), now=NOW)
            return {
                "the desk's search": await _run(db, pairs, _desk),
                "every word, one query": await _run(db, pairs, _plain),
            }


# -- on arrival --------------------------------------------------------------------------------------------------------


class Suggested(NamedTuple):
    """The best earlier ticket by one rule, how alike it is, and whether the pair is known."""

    number: int
    other: int
    alike: float
    is_known: bool


def _words_alone(one: Ticket, other: Ticket) -> float:
    """Return the share of words two texts have in common, whatever their subjects say."""
    first, second = (set(learner.terms_of(f"{ticket.subject}\n{ticket.body}")) for ticket in (one, other))
    return len(first & second) / math.sqrt(len(first) * len(second)) if first and second else 0.0


async def arrival(rows: list[dict[str, Any]], pairs: Any, *, show: bool) -> None:
    """Print precision and recall of suggestions on arrival, by rule, threshold and half."""
    rows = sorted(rows, key=lambda row: (datetime.strptime(row["created_at"], "%d/%b/%y %H:%M"), row["id"]))  # noqa: DTZ007
    number = {row["id"]: at for at, row in enumerate(rows, 1)}
    known = {frozenset((number[p["query"]], number[d])) for p in pairs for d in p["duplicates"]}
    with tempfile.TemporaryDirectory() as folder:
        async with open_db(Path(folder) / "desk.db", DESK) as db:
            found = await db.write(_arrive, rows, known)
    late = {max(pair) for pair in known}
    print(f"{len(rows)} arrivals, {len(late)} with a known duplicate before them; suggested, right, precision, recall")
    for rule, suggestions in found.items():
        for least in (0.5, 0.6, 0.7, 0.8, 0.9):
            cells = [_cell([s for s in suggestions if s.alike >= least], late, half) for half in (0, 1)]
            print(f"{rule:28} {least:.1f}   first half {cells[0]}   second half {cells[1]}")
    for one in sorted(found["the desk's rule"], key=lambda s: -s.alike) if show else ():
        if one.alike >= similar.ALIKE:
            subjects = " | ".join(rows[at - 1]["subject"][:60] for at in (one.number, one.other))
            print(f"{one.alike:.2f} {'known' if one.is_known else '     '} {subjects}")


def _half(number: int) -> int:
    return hashlib.sha256(str(number).encode()).digest()[0] % 2


def _cell(suggested: list[Suggested], late: set[int], half: int) -> str:
    mine = [one for one in suggested if _half(one.number) == half]
    right = sum(one.is_known for one in mine)
    wanted = sum(_half(number) == half for number in late)
    precision = f"{right / len(mine):.2f}" if mine else "-"
    return f"{len(mine):4} {right:3} {precision:>5} {right / wanted:.2f}"


def _arrive(conn: Connection, rows: list[dict[str, Any]], known: set[frozenset[int]]) -> dict[str, list[Suggested]]:
    found: dict[str, list[Suggested]] = {"the desk's rule": [], "words alone": []}
    for row in rows:
        new = NewTicket(subject=row["subject"], body=row["body"], external_id=row["id"])
        ticket = tickets.receive(
            conn, new, actor="bench", source="bench", verified=True, policy=Policy(), now=NOW
        ).ticket
        others = [tickets.get(conn, ids.shown("T", at)) for at, _ in similar.near(conn, ticket)[:10]]
        for name, rule in (("the desk's rule", similar.likeness), ("words alone", _words_alone)):
            best = max(others, key=lambda other: rule(ticket, other), default=None)
            if best is not None:
                pair = frozenset((ticket.number, best.number))
                found[name].append(Suggested(ticket.number, best.number, rule(ticket, best), pair in known))
    return found


def _numbers(conn: Connection) -> dict[str, int]:
    return {row.external_id: row.id for row in conn.execute(text("SELECT id, external_id FROM tickets"))}


async def _run(db: Db, pairs: Any, find: Any) -> tuple[dict[int, float], float]:
    numbers = await db.read(_numbers)
    hits: dict[int, list[float]] = {k: [] for k in KS}
    took: list[float] = []
    for pair in pairs:
        started = time.perf_counter()
        ranked = await db.read(find, numbers[pair["query"]])
        took.append((time.perf_counter() - started) * 1000)
        wanted = {numbers[one] for one in pair["duplicates"]}
        for k in KS:
            hits[k].append(len(wanted & set(ranked[:k])) / len(wanted))
    return {k: statistics.mean(found) for k, found in hits.items()}, statistics.median(took)


def _desk(conn: Connection, number: int) -> list[int]:
    ticket = tickets.get(conn, f"T-{number}")
    return [found.number for found in similar.to_ticket(conn, ticket, limit=max(KS))]


def _plain(conn: Connection, number: int) -> list[int]:
    ticket = tickets.get(conn, f"T-{number}")
    words = sorted(set(re.findall(r"\w{2,40}", f"{ticket.subject} {ticket.body}".lower())))
    query = " OR ".join(f'"{word}"' for word in words)
    sql = text(
        "SELECT rowid FROM ticket_search WHERE ticket_search MATCH :query AND rowid <> :number "
        "ORDER BY bm25(ticket_search), rowid LIMIT :most"
    )
    return list(conn.execute(sql, {"query": query, "number": number, "most": max(KS)}).scalars())


if __name__ == "__main__":
    main()
