"""Alerts and a small estate for the tests of storage and flow: shop calls cart, cart calls cart-db."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from opspilot_mcp.aiops import alerts, folding, topologies
from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.aiops.folding import Folded
from opspilot_mcp.aiops.runbooks import Runbook
from tests.conftest import NOON

SERVICES = ["shop", "cart", "cart-db", "mailer"]
ESTATE = {
    "services": SERVICES,
    "calls": [["shop", "cart"], ["cart", "cart-db"]],
    "instances": {"cart-0": "cart", "cart-db-0": "cart-db"},
    "hosts": {"cart-0": "host-1", "cart-db-0": "host-2"},
}
SECOND = 1_000


def alert(number: int, *, at: int = 0, **over: Any) -> Alert:
    """Return alert `a-NUMBER`, fired and arrived `at` seconds after NOON."""
    moment = NOON + at * SECOND
    fields = {"id": f"a-{number}", "ts_ms": moment, "arr_ms": moment, "alertname": "HighErrorRate"}
    return Alert(**{**fields, "service": "cart", "severity": "critical", "summary": "errors over 5 %", **over})


def fault(number: int, *, at: int = 0, **over: Any) -> Alert:
    """Return an alert that names a cause at cart-db."""
    return alert(number, at=at, **{"service": "cart-db", "alertname": "DiskFull", "summary": "no space left", **over})


def estate(conn: Connection) -> None:
    topologies.save(conn, ESTATE, actor="operator:test", now=NOON)


def fold(conn: Connection, batch: Sequence[Alert], *, now: int = NOON, books: Sequence[Runbook] = ()) -> Folded:
    """Store a batch and fold all that waits, in one go."""
    alerts.receive(conn, batch, actor="agent:test", now=now)
    return folding.fold(conn, actor="agent:test", now=now, books=books)
