"""Alerts are stored once, cleaned and flagged, and none is lost."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from opspilot_mcp.aiops import alerts
from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.clock import DAY_MS
from opspilot_mcp.store import audit
from opspilot_mcp.store import schema as tables
from tests.aiops.storms import alert
from tests.conftest import NOON


def store(conn: Connection, *batch: Alert) -> alerts.Received:
    return alerts.receive(conn, batch, actor="agent:test", now=NOON)


def rows(conn: Connection) -> list[dict[str, Any]]:
    return [dict(row) for row in conn.execute(select(tables.alerts).order_by(tables.alerts.c.id)).mappings()]


def test_a_stored_alert_reads_back_as_it_was_sent(conn: Connection) -> None:
    sent = alert(1, instance="cart-0", host="host-1", change="rel-7", labels={"team": "blue"})

    store(conn, sent)

    assert alerts.waiting(conn, limit=10) == [sent]


def test_the_same_alert_delivered_twice_is_stored_once(conn: Connection) -> None:
    store(conn, alert(1), alert(2))

    again = store(conn, alert(1, arr_ms=NOON + 20_000), alert(3))

    assert (again.stored, again.repeated) == (1, 1)
    assert [row["alert_id"] for row in rows(conn)] == ["a-1", "a-2", "a-3"]


def test_the_same_alert_twice_in_one_batch_is_stored_once(conn: Connection) -> None:
    got = store(conn, alert(1), alert(1))

    assert (got.stored, got.repeated) == (1, 1)


def test_another_alert_under_a_used_id_is_kept_and_flagged(conn: Connection) -> None:
    store(conn, alert(1))

    got = store(conn, alert(1, service="mailer"), alert(1, service="mailer"))

    assert (got.stored, got.repeated, got.flagged) == (1, 1, 1)
    assert json.loads(rows(conn)[1]["flags"]) == ["duplicate_id"]


def test_a_resolve_under_the_id_of_its_firing_is_not_taken_for_a_repeat(conn: Connection) -> None:
    store(conn, alert(1))

    store(conn, alert(1, at=60, status="resolved"))

    assert [row["status"] for row in rows(conn)] == ["firing", "resolved"]


@pytest.mark.parametrize(
    ("ts_ms", "flagged"),
    [(NOON - DAY_MS, False), (NOON - DAY_MS - 1, True), (NOON + DAY_MS, False), (NOON + DAY_MS + 1, True)],
)
def test_a_clock_more_than_a_day_off_is_kept_and_flagged(conn: Connection, ts_ms: int, flagged: bool) -> None:
    store(conn, alert(1, ts_ms=ts_ms, arr_ms=NOON))

    assert (rows(conn)[0]["ts_ms"], rows(conn)[0]["flags"]) == (ts_ms, '["clock"]' if flagged else "[]")


def test_history_imported_late_is_not_taken_for_a_wrong_clock(conn: Connection) -> None:
    then = NOON - 400 * DAY_MS

    store(conn, alert(1, ts_ms=then, arr_ms=then + 1_000))

    assert rows(conn)[0]["flags"] == "[]"


def test_instants_beyond_the_calendar_are_pulled_to_its_edge(conn: Connection) -> None:
    store(conn, alert(1, ts_ms=-5, arr_ms=10**18))

    assert 0 == rows(conn)[0]["ts_ms"] < rows(conn)[0]["arr_ms"] < 10**15


def test_a_megabyte_of_labels_is_cut_and_the_cut_is_told(conn: Connection) -> None:
    store(conn, alert(1, labels={"dump": "x" * 1_000_000, **{f"l{n:04}": "v" for n in range(200)}}))

    row = rows(conn)[0]
    assert len(row["labels"]) < 10_000
    assert {flag.split(":")[1] for flag in json.loads(row["flags"])} == {"label", "labels"}


def test_a_long_summary_and_a_long_name_are_cut_and_the_cut_is_told(conn: Connection) -> None:
    store(conn, alert(1, summary="s" * 5_000, service="n" * 1_000))

    row = rows(conn)[0]
    assert (len(row["summary"]), len(row["service"])) == (4_000, 256)
    assert json.loads(row["flags"]) == ["cut:service:744", "cut:summary:1000"]


def test_hidden_characters_are_taken_out_of_every_field(conn: Connection) -> None:
    nasty = "a\u202eb\x1b[31mc\U000e0041d"

    store(conn, alert(1, summary=nasty, service=nasty, alertname=nasty, labels={nasty: nasty}))

    row = rows(conn)[0]
    assert {row["summary"], row["service"], row["alertname"]} == {"abcd"}
    assert json.loads(row["labels"]) == {"abcd": "abcd"}


def test_an_alert_without_id_or_name_gets_both(conn: Connection) -> None:
    store(conn, alert(1, id="", alertname="\u200b"), alert(2, id="", alertname="\u200b", at=1))

    assert [row["alertname"] for row in rows(conn)] == ["unnamed", "unnamed"]
    assert len({row["alert_id"] for row in rows(conn)}) == 2


def test_a_lone_surrogate_does_not_cost_the_alert(conn: Connection) -> None:
    store(conn, alert(1, id="x\ud800", service="y\udfff", summary="z\ud800", labels={"k\ud800": "v\ud800"}))

    assert (rows(conn)[0]["alert_id"], rows(conn)[0]["service"]) == ("x", "y")


def test_one_condition_has_one_fingerprint_whatever_its_severity_and_time(conn: Connection) -> None:
    store(conn, alert(1), alert(2, at=60, severity="warning", summary="other words"), alert(3, service="shop"))

    first, second, third = (row["fingerprint"] for row in rows(conn))
    assert first == second != third
    assert first == alerts.fingerprint(alert(1))


def test_a_batch_leaves_one_audit_row(conn: Connection) -> None:
    store(conn, alert(1), alert(2))
    store(conn, alert(1), alert(2))

    entries = audit.of_subject(conn, "alerts")
    assert [(entry.action, entry.detail["count"]) for entry in entries] == [("alerts.received", 2)]


WORDS = st.text(max_size=60) | st.text(alphabet="\u202e\x00\ud800\n\t a\U000e0041", max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(WORDS, min_size=4, max_size=4),
    ms=st.integers(-(10**20), 10**20),
    labels=st.dictionaries(WORDS, WORDS),
)
def test_no_alert_is_ever_refused(names: list[str], ms: int, labels: dict[str, str]) -> None:
    sent = alert(1, id=names[0], service=names[1], alertname=names[2], summary=names[3], ts_ms=ms, labels=labels)

    row = alerts._row(sent, NOON)

    assert row["alert_id"]
    assert row["alertname"]
    stored = "".join((row["alert_id"], row["service"] or "", row["alertname"], row["summary"], row["labels"]))
    assert stored.encode("utf-8")
    assert not set("\u202e\x00\U000e0041") & set(stored)


def test_a_row_not_yet_stored_reads_as_it_will_after_storing(conn: Connection) -> None:
    batch = [alert(1, labels={"a": "b"}), alert(2, summary="x" * 5_000), alert(3, service=None, severity="info")]
    batch += [alert(4, labels={"a\n": "b"}), alert(5, cluster=""), alert(6, ts_ms=-5)]

    made = alerts.new_rows(conn, batch, now=NOON)
    before = alerts.as_stored(batch, made)
    alerts.insert_rows(conn, made, actor="agent:test", now=NOON)

    assert alerts.waiting(conn, limit=10) == before
