"""A silence keeps matching alerts from paging while it lasts, and nothing else."""

from typing import Any

import pytest
from sqlalchemy import Connection, select

from opspilot_mcp.aiops import silences
from opspilot_mcp.aiops.silences import Pattern, Silence
from opspilot_mcp.clock import DAY_MS
from opspilot_mcp.errors import InvalidInput, NotFound
from opspilot_mcp.store import audit
from opspilot_mcp.store import schema as tables
from tests.aiops.storms import SECOND, alert, estate, fault, fold
from tests.conftest import HOUR, NOON

ALICE = "operator:alice"


def silence(conn: Connection, **pattern: str) -> Silence:
    wanted = Pattern(**(pattern or {"service": "cart-db"}))
    end_ms = NOON + HOUR
    return silences.add(conn, wanted, starts_ms=NOON, ends_ms=end_ms, reason="moving disks", actor=ALICE, now=NOON)


def whys(conn: Connection) -> dict[str, Any]:
    table = tables.alerts
    return {row.alert_id: row.suppressed for row in conn.execute(select(table.c.alert_id, table.c.suppressed))}


def test_a_silenced_alert_is_kept_in_no_incident_and_says_why(conn: Connection) -> None:
    estate(conn)
    silence(conn)

    done = fold(conn, [fault(1), alert(2, at=5, service="mailer")])

    assert whys(conn) == {"a-1": "silenced", "a-2": None}
    assert (done.suppressed, len(done.opened)) == ({"silenced": 1}, 1)


@pytest.mark.parametrize(("at", "kept"), [(-1, None), (0, "silenced"), (3599, "silenced"), (3600, None)])
def test_a_silence_holds_from_its_start_to_before_its_end(conn: Connection, at: int, kept: str | None) -> None:
    silence(conn)

    fold(conn, [fault(1, at=at)])

    assert whys(conn)["a-1"] == kept


def test_an_alert_that_comes_late_is_judged_by_its_own_time(conn: Connection) -> None:
    silence(conn)

    fold(conn, [fault(1, ts_ms=NOON + 60 * SECOND, arr_ms=NOON + 2 * HOUR)], now=NOON + 2 * HOUR)

    assert whys(conn)["a-1"] == "silenced"


def test_a_resolve_gets_through(conn: Connection) -> None:
    estate(conn)
    fold(conn, [fault(1, at=-60)])
    silence(conn)

    fold(conn, [fault(2, at=60, status="resolved")])

    assert whys(conn)["a-2"] is None
    assert conn.execute(select(tables.incidents.c.recovered_ms)).scalar_one() == NOON + 60 * SECOND


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        ({"alertname": "Disk*"}, "silenced"),
        ({"alertname": "disk*"}, None),
        ({"service": "cart-?b", "alertname": "DiskFull"}, "silenced"),
        ({"service": "cart-db", "alertname": "HighErrorRate"}, None),
        ({"host": "h*"}, None),  # the alert names no host
        ({"env": "prod"}, "silenced"),
        ({"cluster": "other"}, None),
    ],
)
def test_every_field_given_must_match(conn: Connection, pattern: dict[str, str], kept: str | None) -> None:
    silence(conn, **pattern)

    fold(conn, [fault(1)])

    assert whys(conn)["a-1"] == kept


@pytest.mark.parametrize("pattern", [{}, {"service": "*"}, {"service": "", "host": "?*"}, {"alertname": "x" * 257}])
def test_what_would_silence_everything_is_refused(conn: Connection, pattern: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        silences.add(conn, Pattern(**pattern), starts_ms=NOON, ends_ms=NOON + HOUR, reason="x", actor=ALICE, now=NOON)


@pytest.mark.parametrize(
    ("starts_ms", "ends_ms", "reason"),
    [
        (NOON, NOON, "x"),
        (NOON - HOUR, NOON, "x"),
        (NOON, NOON + 30 * DAY_MS + 1, "x"),
        (NOON + 31 * DAY_MS, NOON + 32 * DAY_MS, "x"),
        (NOON, NOON + HOUR, " \u200b"),
    ],
)
def test_a_bad_span_or_no_reason_is_refused(conn: Connection, starts_ms: int, ends_ms: int, reason: str) -> None:
    with pytest.raises(InvalidInput):
        silences.add(
            conn, Pattern(host="h"), starts_ms=starts_ms, ends_ms=ends_ms, reason=reason, actor=ALICE, now=NOON
        )


def test_an_ended_silence_silences_no_more_and_the_audit_knows_who(conn: Connection) -> None:
    made = silence(conn)

    silences.end(conn, made.number, actor=ALICE, now=NOON + 60 * SECOND)
    fold(conn, [fault(1, at=61)])

    assert whys(conn)["a-1"] is None
    entries = audit.of_subject(conn, f"silence {made.number}")
    assert [(entry.action, entry.actor) for entry in entries] == [("silence.added", ALICE), ("silence.ended", ALICE)]


def test_ending_what_is_over_changes_nothing(conn: Connection) -> None:
    made = silence(conn)

    assert silences.end(conn, made.number, actor=ALICE, now=NOON + 2 * HOUR) == made


def test_an_unknown_silence_is_not_found(conn: Connection) -> None:
    with pytest.raises(NotFound):
        silences.end(conn, 7, actor=ALICE, now=NOON)
