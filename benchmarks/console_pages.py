"""How long the console takes to answer, a page at a time, over a large desk: server time, in one process.

    python -m benchmarks.console_pages [--tickets 50000] [--json]

The desk is the one of `insight_queries`, with as many incidents as a busy quarter leaves. The first call of a page is
told beside the median of the next five: figures are counted once a minute.
"""

import argparse
import asyncio
import json
import secrets
import statistics
import tempfile
import time
from pathlib import Path

import httpx2 as httpx
from sqlalchemy import Connection, insert, update

from benchmarks.insight_queries import NOON, fill
from opspilot_mcp.clock import HOUR_MS
from opspilot_mcp.console import app
from opspilot_mcp.console.door import Door
from opspilot_mcp.gate import service
from opspilot_mcp.gate.service import open_gate
from opspilot_mcp.store.db import open_db
from opspilot_mcp.store.schema import DESK, alerts, incident_services, incidents, tickets

_PAGES = (
    *("/", "/tickets", "/tickets?priority=P1", "/tickets?tier=L1", "/tickets/T-49", "/review"),
    *("/incidents", "/incidents?state=resolved", "/incidents/INC-490"),
    *("/dashboard?days=1", "/dashboard", "/dashboard?days=90", "/ai", "/ai?days=90", "/summary", "/summary?days=90"),
    *("/audit", "/audit?of=desk", "/gate"),
)
_INCIDENTS = 500
_EACH = 60


def add_incidents(conn: Connection) -> None:
    """Write incidents an hour apart, the last twenty open, each with sixty of the desk's alerts."""
    texts = {"severity": "critical", "tier": "L1", "cluster": "x", "env": "x", "root_candidates": "[]"}
    rows = [
        {
            "id": at,
            "version": 1,
            "key": f"k{at}",
            "title": f"DiskFull at svc-{at}",
            "state": "open" if at > _INCIDENTS - 20 else "resolved",
            "pages": True,
            "alert_count": _EACH,
            "opened_ms": NOON - (_INCIDENTS - at) * HOUR_MS,
            "last_event_ms": NOON - (_INCIDENTS - at) * HOUR_MS + HOUR_MS // 2,
            **texts,
        }
        for at in range(1, _INCIDENTS + 1)
    ]
    conn.execute(insert(incidents), rows)
    conn.execute(insert(incident_services), [{"incident_id": row["id"], "service": "svc"} for row in rows])
    for at in range(1, _INCIDENTS + 1):
        some = alerts.c.id.between((at - 1) * _EACH + 1, at * _EACH)
        conn.execute(update(alerts).where(some).values(incident_id=at, correlated_ms=NOON))
    conn.execute(update(tickets).where(tickets.c.id == 49).values(created_ms=NOON))


async def measure(home: Path, number: int) -> list[dict[str, object]]:
    """Set up a home with a large desk; return each page's first and median time in ms."""
    passphrase = secrets.token_urlsafe(24)
    await service.init(home, "ana", passphrase, now=NOON)
    async with open_db(home / "desk.db", DESK) as desk:
        await desk.write(fill, number)
        await desk.write(add_incidents)
    async with open_gate(home) as gate:
        console = app.build(gate, now=lambda: NOON)
        door: Door = console.state.door
        cookie = door.sign_ins.open(await gate.sign_in("ana", passphrase, now=NOON), now=NOON)
        transport = httpx.ASGITransport(app=console)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{door.authority}") as client:
            client.cookies.set(door.cookie_name, cookie)
            found = [await _page(client, path) for path in _PAGES]
        await door.close()
    return found


async def _page(client: httpx.AsyncClient, path: str) -> dict[str, object]:
    took = []
    for _ in range(6):
        started = time.perf_counter()
        status = (await client.get(path)).status_code
        took.append(round((time.perf_counter() - started) * 1000, 1))
    return {"page": path, "status": status, "first_ms": took[0], "median_ms": statistics.median(took[1:])}


def main() -> None:
    """Print a line for each page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tickets", type=int, default=50_000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder) / "home", chosen.tickets))
    if chosen.json:
        print(json.dumps(found, indent=1))
        return
    for one in found:
        print(f"{one['page']!s:28} {one['status']}  first {one['first_ms']:>8} ms  then {one['median_ms']:>8} ms")


if __name__ == "__main__":
    main()
