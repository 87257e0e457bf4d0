import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opspilot_mcp.aiops import formats
from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.errors import InvalidInput
from tests.aiops.engine_kit import bench

NOW = 1_767_225_600_000
LINE = {"id": "a1", "ts": 1767225500, "alertname": "DiskFull", "severity": "critical", "service": "orders"}


def parse(payload: object, **over: Any) -> list[Alert]:
    return formats.parse(payload, **{"source": None, "now_ms": NOW, **over})


def one(payload: object, **over: Any) -> Alert:
    (found,) = parse(payload, **over)
    return found


# ---- the canonical line


def test_a_canonical_line_keeps_its_facts() -> None:
    found = one({**LINE, "env": "staging", "change": "chg-1", "labels": {"team": "db"}})

    assert (found.id, found.ts_ms, found.service, found.env) == ("a1", 1_767_225_500_000, "orders", "staging")
    assert (found.change, found.labels) == ("chg-1", {"team": "db"})


def test_an_arrival_in_the_future_is_now() -> None:
    assert one({**LINE, "arr": 4_000_000_000}).arr_ms == NOW
    assert one({**LINE, "arr": 1767225510}).arr_ms == 1_767_225_510_000


@pytest.mark.parametrize("field", ["id", "alertname"])
@pytest.mark.parametrize("value", [None, "", "  ", ["x"]])
def test_a_line_without_id_or_name_is_refused_by_that_field(field: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=field):
        one({**LINE, field: value})


@pytest.mark.parametrize(
    ("word", "severity"),
    [("CRITICAL", "critical"), ("warn", "warning"), ("P1", "critical"), (2, "error"), ("Disaster", "critical")],
)
def test_the_words_of_monitors_become_four_severities(word: object, severity: str) -> None:
    assert one({**LINE, "severity": word}).severity == severity


def test_an_unknown_severity_is_a_warning_with_the_word_kept() -> None:
    found = one({**LINE, "severity": "purple"})

    assert (found.severity, found.labels) == ("warning", {"severity_unknown": "purple"})


def test_an_unreadable_time_is_its_arrival_with_a_flag() -> None:
    found = one({**LINE, "ts": "soon"})

    assert (found.ts_ms, found.labels) == (NOW, {"time_unreadable": "soon"})


def test_labels_of_a_megabyte_are_cut_and_the_alert_is_kept() -> None:
    found = one({**LINE, "labels": {f"k{n}": "x" * 100_000 for n in range(100)}, "summary": "s" * 1_000_000})

    assert len(found.labels) == 64
    assert max(map(len, found.labels.values())) == 1024
    assert len(found.summary) == 4000


def test_hidden_characters_are_cleaned_out_of_names_and_text() -> None:
    found = one({**LINE, "service": "or\u202eders\n", "summary": "a\x1b[31mb"})

    assert (found.service, found.summary) == ("orders", "ab")


# ---- monitors


def _alertmanager(**over: Any) -> dict[str, Any]:
    alert = {
        "status": "firing",
        "labels": {
            "alertname": "HighErrorRate",
            "severity": "critical",
            "service": "api",
            "pod": "api-1",
            "node": "n1",
        },
        "annotations": {"summary": "api 5xx ratio 9%"},
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": "f1",
    }
    return {"version": "4", "status": "firing", "groupKey": "g", "alerts": [{**alert, **over}]}


def test_alertmanager_labels_say_what_and_where() -> None:
    found = one(_alertmanager())

    assert (found.source, found.service, found.instance, found.host) == ("alertmanager", "api", "api-1", "n1")
    assert (found.ts_ms, found.summary) == (1_767_225_600_000, "api 5xx ratio 9%")


def test_the_state_of_the_alert_counts_not_that_of_the_group() -> None:
    found = one(_alertmanager(status="resolved", endsAt="2026-01-01T00:05:00Z"))

    assert (found.status, found.ts_ms) == ("resolved", 1_767_225_900_000)


def test_a_retried_delivery_has_the_same_id_and_the_resolve_another() -> None:
    first, again = one(_alertmanager()), one(_alertmanager())
    over = one(_alertmanager(status="resolved", endsAt="2026-01-01T00:05:00Z"))

    assert first.id == again.id
    assert over.id != first.id


def test_grafana_unified_alerting_is_told_from_alertmanager() -> None:
    assert one({**_alertmanager(), "orgId": 1, "title": "x", "state": "alerting"}).source == "grafana"


def test_legacy_grafana_speaks_by_rule() -> None:
    found = one({"ruleId": 7, "ruleName": "CPU", "state": "ok", "evalMatches": [], "message": "boom"})

    assert (found.alertname, found.status, found.summary) == ("CPU", "resolved", "boom")


def test_a_pagerduty_event_names_component_and_source() -> None:
    payload = {"summary": "disk full on db-1", "source": "db-1", "severity": "critical", "component": "orders-db"}
    found = one({"routing_key": "r", "event_action": "trigger", "dedup_key": "d1", "payload": payload})

    assert (found.service, found.host, found.severity) == ("orders-db", "db-1", "critical")


def test_a_pagerduty_action_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidInput, match="event_action"):
        one({"event_action": "explode", "payload": {"summary": "x"}})


def _sns(message: object, **over: Any) -> dict[str, Any]:
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Message": message, **over}


def test_a_cloudwatch_alarm_comes_out_of_its_sns_envelope() -> None:
    alarm = {
        "AlarmName": "orders-5xx",
        "NewStateValue": "ALARM",
        "NewStateReason": "Threshold Crossed",
        "StateChangeTime": "2026-01-01T00:00:00.000+0000",
        "Trigger": {"Dimensions": [{"name": "ServiceName", "value": "orders"}, {"name": "ClusterName", "value": "c1"}]},
    }
    found = one(_sns(json.dumps(alarm)))

    assert (found.alertname, found.service, found.cluster) == ("orders-5xx", "orders", "c1")
    assert (found.ts_ms, found.severity) == (1_767_225_600_000, "error")


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_an_sns_confirmation_is_refused_and_its_link_left_alone(kind: str) -> None:
    with pytest.raises(InvalidInput, match="A person confirms"):
        one(_sns("please", Type=kind, SubscribeURL="http://127.0.0.1:1/never"))


@pytest.mark.parametrize("message", ["hello", "[1]", 7, None])
def test_an_sns_message_that_is_no_alarm_is_refused(message: object) -> None:
    with pytest.raises(InvalidInput, match="Message"):
        one(_sns(message))


def test_datadog_tags_say_where_and_priority_how_grave() -> None:
    body = {"title": "High CPU", "monitor_id": "1", "tags": "env:staging, service:api,host:h1", "priority": "P2"}
    found = one({**body, "alert_transition": "Recovered"})

    assert (found.service, found.host, found.env) == ("api", "h1", "staging")
    assert (found.severity, found.status) == ("error", "resolved")


def test_sentry_names_project_and_culprit() -> None:
    event = {
        "event_id": "e",
        "title": "KeyError",
        "level": "error",
        "timestamp": 1767225600,
        "environment": "production",
    }
    found = one({"id": "1", "project_slug": "web", "culprit": "pay.do", "event": event})

    assert (found.service, found.summary, found.env) == ("web", "KeyError (pay.do)", "prod")


def test_a_cloudevent_is_read_by_what_it_carries() -> None:
    envelope = {"specversion": "1.0", "type": "alert", "source": "/mon", "id": "1", "time": "2026-01-01T00:00:00Z"}

    assert one({**envelope, "data": _alertmanager()}).alertname == "HighErrorRate"
    bare = one({**envelope, "type": "com.example.disk.full", "subject": "orders-db"})
    assert (bare.alertname, bare.service) == ("com.example.disk.full", "orders-db")


def test_zabbix_levels_are_numbers() -> None:
    found = one(
        {"event_id": "9", "trigger_name": "No ping", "event_nseverity": "5", "host_name": "h1", "event_value": "1"}
    )

    assert (found.severity, found.host, found.status) == ("critical", "h1", "firing")


# ---- one's own shape, and none


def test_ones_own_shape_is_read_by_dotted_paths() -> None:
    body = {"check": {"name": "disk", "level": "major"}, "hosts": ["h1", "h2"]}
    found = one(body, mapping={"alertname": "check.name", "severity": "check.level", "host": "hosts.1"})

    assert (found.alertname, found.severity, found.host) == ("disk", "error", "h2")


@pytest.mark.parametrize(
    ("mapping", "said"), [({"alertname": "nowhere"}, "alertname"), ({"alertname": "a", "colour": "b"}, "colour")]
)
def test_a_map_that_finds_no_name_or_names_no_field_is_refused(mapping: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        one({"a": 1}, mapping=mapping)


def test_an_unknown_shape_is_refused_with_its_fields_named() -> None:
    with pytest.raises(InvalidInput, match="'wobble'"):
        parse({"wobble": 1})


@pytest.mark.parametrize("payload", [7, "x", None, [[[[[[LINE]]]]]]])
def test_what_is_no_object_is_refused(payload: object) -> None:
    with pytest.raises(InvalidInput):
        parse(payload)


def test_a_format_nobody_reads_is_refused() -> None:
    with pytest.raises(InvalidInput, match="carrierpigeon"):
        parse(LINE, source="carrierpigeon")


def test_a_list_is_read_in_its_order() -> None:
    assert [a.id for a in parse([LINE, {**LINE, "id": "a2"}])] == ["a1", "a2"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_KEYS = [
    "alertname",
    "id",
    "ts",
    "labels",
    "alerts",
    "event_action",
    "payload",
    "Message",
    "TopicArn",
    "title",
    "event",
]


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from([*_KEYS, "monitor_id", "data", "incident", "source", "state"]), _JSON, max_size=6)
)
def test_any_body_gives_alerts_or_a_refusal_never_a_crash(body: dict[str, object]) -> None:
    try:
        found = parse(body)
    except InvalidInput:
        return
    assert all(a.alertname for a in found)


# ---- the bench's samples of real bodies

_READ = {
    "cloudwatch_insufficient_data": "cloudwatch",
    "cloudwatch_notification": "cloudwatch",
    "grafana_6": "grafana",
    "grafana_alert_alerting": "grafana",
    "grafana_alert_ok": "grafana",
    "grafana_example": "grafana",
    "mock_cloudwatch": "cloudwatch",
    "mock_datadog": "datadog",
    "mock_gcpmonitoring": "stackdriver",
    "mock_grafana": "prometheus",
    "mock_prometheus": "prometheus",
    "mock_sentry": "sentry",
    "pagerduty_alert": "pagerduty",
    "pingdom_down": "pingdom",
    "prometheus_v3_alert": "alertmanager",
    "prometheus_v4_alert": "alertmanager",
    "riemann_alert": "riemann",
    "stackdriver_open": "stackdriver",
}


@pytest.mark.parametrize("name", sorted(_READ))
def test_a_real_body_of_the_bench_is_read(name: str) -> None:
    body = json.loads((bench() / "data" / "payloads" / f"{name}.json").read_text())
    items = [item.get("payload", item) for item in body] if isinstance(body, list) else [body]

    found = [a for item in items for a in parse(item)]

    assert {a.source for a in found} == {_READ[name]}
    assert all(a.summary or a.labels for a in found)


@pytest.mark.parametrize(
    "name", ["mock_netbox", "mock_wazuh", "vmware_vrealize", "cloudwatch_subscription_confirmation"]
)
def test_a_body_of_the_bench_that_is_no_known_alert_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        parse(json.loads((bench() / "data" / "payloads" / f"{name}.json").read_text()))
