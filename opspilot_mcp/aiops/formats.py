"""What monitors send, read into the canonical `Alert`: one small function a format."""

from collections.abc import Mapping
from typing import Any, cast

from opspilot_mcp.aiops.alerts import Alert, AlertStatus, Severity
from opspilot_mcp.clock import parse_ms
from opspilot_mcp.errors import InvalidInput, quoted
from opspilot_mcp.text import cap, clean, one_line

NAME_CHARS = 256
TEXT_CHARS = 4_000
LABEL_CHARS = 1_024
MAX_LABELS = 64

SEVERITIES: dict[str, Severity] = {
    "info": "info", "warning": "warning", "error": "error", "critical": "critical",
}  # fmt: skip


def parse(payload: object, *, source: str | None, now_ms: int, mapping: dict[str, str] | None = None) -> list[Alert]:
    """Return the alerts of one decoded payload, in its order.

    `source` forces a format by name; None recognises it by shape. `mapping` reads a shape of one's own: canonical
    field -> dotted path. Raises InvalidInput, naming the field, when the shape is unknown.
    """
    if isinstance(payload, list):
        return [alert for item in payload for alert in parse(item, source=source, now_ms=now_ms, mapping=mapping)]
    if not isinstance(payload, dict):
        raise InvalidInput(f"{quoted(payload)} is not an alert. Send a JSON object or a list of them.")
    return [canonical(payload, now_ms=now_ms)]


def canonical(line: Mapping[str, Any], *, now_ms: int) -> Alert:
    """Read one line of the canonical form; times are epoch seconds or ISO 8601, `arr` defaults to `now_ms`."""
    for field in ("id", "alertname"):
        if not isinstance(line.get(field), str) or not line[field].strip():
            raise InvalidInput(f"The alert has no {field!r}. Give each alert an id and an alertname.")
    labels = {str(k): str(v) for k, v in (line.get("labels") or {}).items()}
    severity, flag = severity_of(line.get("severity"))
    return build(
        id=line["id"], ts_ms=parse_ms(line.get("ts", now_ms)), arr_ms=parse_ms(line.get("arr", now_ms)),
        cluster=line.get("cluster"), env=line.get("env"), service=line.get("service"), instance=line.get("instance"),
        host=line.get("host"), alertname=line["alertname"], severity=severity, summary=line.get("summary"),
        source=line.get("source"), status=line.get("status"), change=line.get("change"), labels={**labels, **flag},
    )  # fmt: skip


def severity_of(value: object) -> tuple[Severity, dict[str, str]]:
    """Return the canonical severity and, when the word is unknown, a label that keeps it."""
    word = str(value or "").strip().lower()
    if word in SEVERITIES:
        return SEVERITIES[word], {}
    return "warning", ({"severity_unknown": word[:NAME_CHARS]} if word else {})


def build(**fields: Any) -> Alert:
    """Make the record from raw parts: names on one line and capped, labels bounded, empty names None."""
    status: AlertStatus = "resolved" if str(fields.get("status")).lower() in ("resolved", "ok") else "firing"
    return Alert(
        id=_name(fields["id"]) or "", ts_ms=fields["ts_ms"], arr_ms=fields["arr_ms"],
        cluster=_name(fields.get("cluster")) or "default", env=_name(fields.get("env")) or "prod",
        service=_name(fields.get("service")), instance=_name(fields.get("instance")), host=_name(fields.get("host")),
        alertname=_name(fields["alertname"]) or "unnamed", severity=cast(Severity, fields["severity"]),
        summary=cap(clean(str(fields.get("summary") or "")), TEXT_CHARS)[0],
        source=_name(fields.get("source")) or "generic", status=status, change=_name(fields.get("change")),
        labels=_labels(fields.get("labels") or {}),
    )  # fmt: skip


def _name(value: object) -> str | None:
    return (one_line(str(value)[: 4 * NAME_CHARS])[:NAME_CHARS] or None) if value is not None else None


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    kept = sorted(labels.items())[:MAX_LABELS]
    return {one_line(k[:LABEL_CHARS]): one_line(v[:LABEL_CHARS]) for k, v in kept}
