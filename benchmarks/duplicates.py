"""Duplicates found by the desk's own search, at several sizes of answer, beside plain BM25 of every word.

    python -m benchmarks.duplicates [--bench DIR]

Needs the ticket bench's Hadoop reports (2,503 tickets, 129 queries with known duplicates). Recall@k is the share of a
query's duplicates among the first k, averaged over queries. Both rankings run on one migrated desk database.
"""

import argparse
import asyncio
import gzip
import json
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from opspilot_mcp.desk import similar, tickets
from opspilot_mcp.desk.tickets import NewTicket
from opspilot_mcp.policy import Policy
from opspilot_mcp.store.db import Db, open_db
from opspilot_mcp.store.schema import DESK

NOW = 1_790_000_000_000
KS = (1, 5, 10, 20)
BENCH = Path(__file__).parents[2] / "shared" / "bench" / "tickets" / "data"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=BENCH)
    args = parser.parse_args()
    with gzip.open(args.bench / "hadoop_dup.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    pairs = json.loads((args.bench / "hadoop_dup_pairs.json").read_text())
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
