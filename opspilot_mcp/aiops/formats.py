"""What monitors send, read into the canonical `Alert`.

`parse` recognises a payload by its shape, or is told the format by name. The readers of single formats stand in
`vendors.py`; here are the canonical line, one's own mapping, and the rules that hold for all of them: names on one
line and capped, labels bounded, unknown severities kept under a flag, unreadable times replaced by arrival under one.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from opspilot_mcp.aiops import vendors
from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.aiops.payloads import Fields, alert_of, digest, mapping_of, text_of
from opspilot_mcp.clock import parse_ms
from opspilot_mcp.errors import InvalidInput, quoted

MAX_ALERTS = 10_000
MAX_DEPTH = 4
CANONICAL_FIELDS = (
    "id", "ts", "cluster", "env", "service", "instance", "host", "alertname", "severity", "summary", "status", "change",
)  # fmt: skip

Reader = Callable[[Mapping[str, Any], int], Iterable[Fields]]


class Format(NamedTuple):
    """One format: its name, the shape it is recognised by, and its reader."""

    name: str
    fits: Callable[[Mapping[str, Any]], bool]
    read: Reader


def _has(*names: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda body: all(name in body for name in names)


# The first that fits reads the payload: the narrow shapes stand before the wide ones.
FORMATS = (
    Format("canonical", lambda b: _is_canonical(b), lambda b, now: [canonical_fields(b, now)]),
    Format("cloudevents", _has("specversion", "type", "source", "id"), lambda b, now: _cloudevent(b, now)),
    Format("cloudwatch", lambda b: "TopicArn" in b or "AlarmName" in b or _is_alarm(b), vendors.cloudwatch),
    Format("pagerduty", lambda b: "event_action" in b or _is_pagerduty_webhook(b), vendors.pagerduty),
    Format("grafana", lambda b: "ruleName" in b or ("orgId" in b and "alerts" in b), vendors.grafana),
    Format("alertmanager", lambda b: isinstance(b.get("alerts"), list), vendors.alertmanager),
    Format("sentry", lambda b: "project_slug" in b or _is_sentry(b), vendors.sentry),
    Format("datadog", lambda b: _has("title", "monitor_id")(b) or _has("title", "alert_type")(b), vendors.datadog),
    Format("stackdriver", lambda b: isinstance(b.get("incident"), dict), vendors.stackdriver),
    Format("pingdom", _has("check_id", "current_state"), vendors.pingdom),
    Format("riemann", _has("host", "service", "state"), vendors.riemann),
    Format("zabbix", lambda b: "event_nseverity" in b or "trigger_name" in b, vendors.zabbix),
    Format("prometheus", lambda b: isinstance(b.get("labels"), dict), vendors.prometheus),
)
_BY_NAME = {form.name: form for form in FORMATS}
NAMES = tuple(_BY_NAME)


def _is_canonical(body: Mapping[str, Any]) -> bool:
    return "alertname" in body and ("ts" in body or "id" in body)


def _is_alarm(body: Mapping[str, Any]) -> bool:
    return isinstance(body.get("Message"), dict) and "AlarmName" in body["Message"]


def _is_pagerduty_webhook(body: Mapping[str, Any]) -> bool:
    messages, event = body.get("messages"), body.get("event")
    return isinstance(messages, list) or (isinstance(event, dict) and "event_type" in event)


def _is_sentry(body: Mapping[str, Any]) -> bool:
    data = body.get("data")
    return "action" in body and isinstance(data, dict) and ("issue" in data or "event" in data)


def parse(payload: object, *, source: str | None, now_ms: int, mapping: Mapping[str, str] | None = None) -> list[Alert]:
    """Return the alerts of one decoded payload, in its order.

    `source` forces a format by name; None recognises it by shape. `mapping` reads a shape of one's own: canonical
    field -> dotted path. Raises InvalidInput, naming the field, when the shape is unknown or a field is missing.
    """
    check_name(source)
    alerts = [alert_of(fields, now_ms) for fields in _fields(payload, source, now_ms, mapping, 0)]
    if len(alerts) > MAX_ALERTS:
        raise InvalidInput(f"The payload holds over {MAX_ALERTS:,} alerts. Send it in parts.")
    return alerts


def check_name(source: str | None) -> None:
    """Raise InvalidInput where `source` names no format; None leaves it to the shape."""
    if source is not None and source not in _BY_NAME:
        raise InvalidInput(f"There is no format {quoted(source)}. Name one of {', '.join(NAMES)}, or leave it out.")


def _fields(
    payload: object, source: str | None, now_ms: int, mapping: Mapping[str, str] | None, depth: int
) -> Iterable[Fields]:
    if isinstance(payload, list) and depth < MAX_DEPTH:
        return [f for item in payload for f in _fields(item, source, now_ms, mapping, depth + 1)]
    if not isinstance(payload, dict):
        raise InvalidInput(f"{quoted(payload)} is not an alert. Send a JSON object or a list of them.")
    if mapping is not None:
        return [_mapped(payload, mapping, now_ms)]
    form = _BY_NAME[source] if source is not None else next((f for f in FORMATS if f.fits(payload)), None)
    if form is None:
        raise InvalidInput(
            f"The payload's fields {_names(payload)} fit no known format: 'alertname' is missing. "
            f"Name the format ({', '.join(NAMES)}) or map the fields."
        )
    return form.read(payload, now_ms)


def _names(body: Mapping[str, Any]) -> str:
    shown = ", ".join(quoted(name) for name in list(body)[:6])
    return (shown or "(none)") + (" and more" if len(body) > 6 else "")


def canonical(line: Mapping[str, Any], *, now_ms: int) -> Alert:
    """Read one line of the canonical form; times are epoch seconds or ISO 8601. `arr` never lies after `now_ms`."""
    return alert_of(canonical_fields(line, now_ms), now_ms)


def canonical_fields(line: Mapping[str, Any], now_ms: int) -> Fields:
    for field in ("id", "alertname"):
        if not text_of(line.get(field)).strip():
            raise InvalidInput(f"The alert's {field!r} is missing. Give each alert an id and an alertname.")
    arr_ms = min(now_ms, parse_ms(line["arr"])) if line.get("arr") is not None else now_ms
    return Fields(
        id=line["id"], ts=line.get("ts", arr_ms), arr_ms=arr_ms, cluster=line.get("cluster"), env=line.get("env"),
        service=line.get("service"), instance=line.get("instance"), host=line.get("host"),
        alertname=line["alertname"], severity=line.get("severity"), summary=line.get("summary"),
        source=line.get("source") or "generic", status=line.get("status"), change=line.get("change"),
        labels=mapping_of(line.get("labels"), "labels"),
    )  # fmt: skip


def _mapped(body: Mapping[str, Any], mapping: Mapping[str, str], now_ms: int) -> Fields:
    """Read a shape of one's own by dotted paths, such as `{"alertname": "check.name", "host": "hosts.0"}`."""
    unknown = sorted(mapping.keys() - set(CANONICAL_FIELDS))
    if unknown:
        raise InvalidInput(f"The map names {quoted(unknown[0])}. Map only {', '.join(CANONICAL_FIELDS)}.")
    found = {field: _at(body, path) for field, path in mapping.items()}
    if not text_of(found.get("alertname")).strip():
        raise InvalidInput("The map finds no 'alertname' in the payload. Check its path.")
    if found.get("id") is None:
        found["id"] = digest("map", json.dumps(body, sort_keys=True, default=str), now_ms // 60_000)
    fields = Fields(found["id"], found["alertname"], "map", found.get("ts") or now_ms, now_ms)
    for name in found.keys() - {"id", "alertname", "ts"}:
        setattr(fields, name, found[name])
    return fields


def _at(body: object, path: str) -> object:
    for step in path.split("."):
        if isinstance(body, dict):
            body = body.get(step)
        elif isinstance(body, list) and step.isdigit() and int(step) < len(body):
            body = body[int(step)]
        else:
            return None
    return body


def _cloudevent(body: Mapping[str, Any], now_ms: int) -> Iterable[Fields]:
    """CloudEvents 1.0: an alert of any known format in `data`, else the event itself by its type."""
    data = body.get("data")
    if isinstance(data, dict):
        form = next((f for f in FORMATS if f.name != "cloudevents" and f.fits(data)), None)
        if form is not None:
            return form.read(data, now_ms)
    return [vendors.bare_cloudevent(body, now_ms)]
