"""How long each insight takes on a large desk: a synthetic file, one warm call each.

    python -m benchmarks.insight_queries [--tickets 100000] [--json]

For each ticket the file holds 3 tags, 2 AI calls and 1 alert, spread over 180 days. Seeded: the same file each time.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from opspilot_mcp.clock import DAY_MS
from opspilot_mcp.insights import attainment, blockers, ledger, summary, volume
from opspilot_mcp.store import migrate, sqlite
from opspilot_mcp.store.schema import DESK, ai_calls, alerts, ticket_tags, tickets

NOON = 1_772_452_800_000  # 2026-03-02T12:00:00Z
_SPAN = 180 * DAY_MS
_CATEGORIES = ("billing", "technical", "account", "feature_request", "other")


def fill(conn: Connection, number: int) -> None:
    """Write the desk in order of time, as it comes in: nine tickets of ten are closed."""
    chance = random.Random(1)
    conn.execute(insert(tickets), sorted((_ticket(chance) for _ in range(number)), key=itemgetter("created_ms")))
    tags = [f"tag-{at}" for at in range(200)]
    conn.execute(
        insert(ticket_tags),
        [{"ticket_id": at + 1, "tag": tag} for at in range(number) for tag in chance.sample(tags, 3)],
    )
    conn.execute(insert(ai_calls), sorted((_call(chance, number) for _ in range(2 * number)), key=itemgetter("at_ms")))
    conn.execute(insert(alerts), sorted((_alert(chance, at) for at in range(number)), key=itemgetter("arr_ms")))


def _ticket(chance: random.Random) -> dict[str, Any]:
    made = NOON - chance.randrange(_SPAN)
    is_open = chance.random() < 0.1
    return {
        "version": 1,
        "source": "import",
        "subject": "s" * 40,
        "body": "b" * 400,
        "requester_verified": False,
        "status": "open" if is_open else "closed",
        "escalate": False,
        "created_ms": made,
        "updated_ms": made,
        "triaged_ms": made,
        "resolved_ms": None if is_open else made + chance.randrange(3 * DAY_MS),
        "category": chance.choice(_CATEGORIES),
        "priority": chance.choice(("P1", "P2", "P3", "P4")),
        "tier": "L1",
        "sentiment": "neutral",
        "first_response_due_ms": made + DAY_MS // 6,
        "resolution_due_ms": made + DAY_MS,
        "next_due_ms": made + DAY_MS,
        "queue_key": made + DAY_MS if is_open else None,
        "breached": "",
    }


def _call(chance: random.Random, number: int) -> dict[str, Any]:
    return {
        "at_ms": NOON - chance.randrange(_SPAN),
        "operation": chance.choice(("read", "draft")),
        "subject": f"T-{chance.randrange(number)}",
        "engine": "local",
        "model": "rules-1",
        "input_tokens": 0,
        "output_tokens": 0,
        "cached_tokens": 0,
        "cost_usd": 0.0,
        "latency_ms": chance.random() * 20,
        "outcome": "ok",
    }


def _alert(chance: random.Random, at: int) -> dict[str, Any]:
    instant = NOON - chance.randrange(_SPAN)
    texts = dict.fromkeys(("cluster", "env", "alertname", "source"), "x")
    return texts | {
        "alert_id": str(at),
        "fingerprint": str(at % 1000),
        "ts_ms": instant,
        "arr_ms": instant,
        "severity": "warning",
        "summary": "s" * 100,
        "status": "firing",
        "labels": "{}",
        "flags": "[]",
    }


def measure(conn: Connection, days: int) -> dict[str, float]:
    """Return milliseconds of each insight over `days`, its statements compiled by one call before."""
    since = NOON - days * DAY_MS
    asked: dict[str, Callable[[], object]] = {
        "volume": lambda: volume.count(conn, since, NOON),
        "attainment": lambda: attainment.sla(conn, since, NOON, now=NOON),
        "blockers": lambda: blockers.trends(conn, NOON, days),
        "usage": lambda: ledger.usage(conn, since, NOON),
        "summary": lambda: summary.markdown(conn, NOON, days),
    }
    found = {}
    for name, ask in asked.items():
        ask()
        started = time.perf_counter()
        ask()
        found[name] = round((time.perf_counter() - started) * 1000, 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raw = sqlite.connect(Path(folder) / "desk.db")
        with sqlite.engine_over(raw, begin="BEGIN IMMEDIATE").connect() as conn, conn.begin():
            migrate.upgrade(conn, DESK)
            fill(conn, given.tickets)
            found = {f"{days} days": measure(conn, days) for days in (7, 90)}
    if given.json:
        print(json.dumps({"tickets": given.tickets, "ms": found}, indent=2))
        return
    for period, times in found.items():
        print(f"{period:<8} " + "  ".join(f"{name} {ms:.0f} ms" for name, ms in times.items()))


if __name__ == "__main__":
    main()
