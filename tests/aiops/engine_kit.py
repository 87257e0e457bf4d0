"""A small estate and alerts on it, for the tests of the pure engine."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.aiops.correlation import Engine, Placement
from opspilot_mcp.aiops.topology import Topology

START = 1_767_225_600_000  # 2026-01-01T00:00:00Z

ESTATE: dict[str, Any] = {
    "services": ["web", "api", "orders", "orders-db", "search", "mail"],
    "calls": [["web", "api"], ["api", "orders"], ["orders", "orders-db"], ["api", "search"]],
    "instances": {
        "web-0": "web",
        "api-0": "api",
        "api-1": "api",
        "orders-0": "orders",
        "orders-db-0": "orders-db",
        "search-0": "search",
        "mail-0": "mail",
        "mail-1": "mail",
    },
    "hosts": {
        "web-0": "node-1",
        "api-0": "node-2",
        "api-1": "node-3",
        "orders-0": "node-3",
        "orders-db-0": "node-4",
        "search-0": "node-3",
        "mail-0": "node-4",
        "mail-1": "node-1",
    },
    "maintenance": [{"host": "node-4", "start": 1767229200, "end": 1767230100}],  # second 3600 to 4500
}


def estate() -> Topology:
    return Topology.from_json(ESTATE)


def alert(second: float, service: str | None, name: str = "HighErrorRate", **over: Any) -> Alert:
    """An alert `second` seconds after START, arriving a second later; its id says when and what."""
    fields: dict[str, Any] = {
        "id": f"{second}-{service}-{name}-{over.get('instance')}-{over.get('host')}-{over.get('status')}",
        "ts_ms": START + round(second * 1000),
        "arr_ms": START + round(second * 1000) + 1000,
        "service": service,
        "alertname": name,
        "severity": "critical",
        "summary": f"{service} {name}",
        "source": "prometheus",
    }
    return Alert(**{**fields, **over})


def run(alerts: Sequence[Alert], engine: Engine | None = None) -> list[Placement]:
    engine = engine or Engine(estate())
    return [engine.receive(one) for one in alerts]


def keys(placements: Sequence[Placement]) -> list[str | None]:
    """Where each alert is at the end: revisions and merges applied."""
    place: dict[str, str | None] = {}
    into: dict[str, str] = {}
    for placement in placements:
        for one in (placement, *placement.revised):
            place[one.alert_id] = one.incident_key
        into.update(placement.merged)
    return [_end(place[p.alert_id], into) for p in placements]


def _end(key: str | None, into: dict[str, str]) -> str | None:
    while key is not None and key in into:
        key = into[key]
    return key


def bench() -> Path:
    """The folder of the alert bench; a test that needs it is skipped where it is not there."""
    root = Path(os.environ.get("OPSPILOT_BENCH", Path(__file__).resolve().parents[3] / "shared" / "bench"))
    if not (root / "alerts" / "score.py").exists():
        pytest.skip("the alert bench is not here: set OPSPILOT_BENCH to its folder")
    return root / "alerts"


def through_json(engine: Engine, topology: Topology) -> Engine:
    """The engine as another process gets it: stored and read back, in another order."""
    states = [json.loads(json.dumps(engine.state(key))) for key in reversed(engine.keys())]
    return Engine.restore(topology, states, early=engine.early())
