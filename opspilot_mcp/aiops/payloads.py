"""The raw parts of an alert as a monitor sent them, and how they become the canonical record.

Nothing a stranger sends can make an alert disappear here: what cannot be believed is replaced, and a label says so.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from opspilot_mcp.aiops.alerts import Alert, AlertStatus, Severity
from opspilot_mcp.clock import parse_ms
from opspilot_mcp.errors import InvalidInput, quoted
from opspilot_mcp.text import cap, clean, one_line

NAME_CHARS = 256
TEXT_CHARS = 4_000
LABEL_CHARS = 1_024
MAX_LABELS = 64

# What monitors call their levels. Source: the vendors' webhook and API pages.
_WORDS: dict[Severity, str] = {
    "info": "info information informational notice debug ok none low p5",
    "warning": "warning warn minor moderate average medium p3 p4 sev3 sev4",
    "error": "error err major high alerting p2 sev2",
    "critical": "critical crit fatal emergency alert disaster page down p1 sev1",
}
SEVERITIES: dict[str, Severity] = {word: level for level, words in _WORDS.items() for word in words.split()}
_OVER = frozenset(
    {"resolved", "resolve", "ok", "up", "closed", "close", "recovered", "recovery", "inactive", "success"}
)
_ENVS = {
    "production": "prod",
    "prd": "prod",
    "live": "prod",
    "stage": "staging",
    "stg": "staging",
    "development": "dev",
}


@dataclass(slots=True)
class Fields:
    """An alert's parts before they are cleaned; everything but the name may be missing or of a wrong kind."""

    id: object
    alertname: object
    source: object
    ts: object
    arr_ms: int
    cluster: object = None
    env: object = None
    service: object = None
    instance: object = None
    host: object = None
    severity: object = None
    summary: object = None
    status: object = None
    change: object = None
    labels: Mapping[str, Any] = field(default_factory=dict)


def alert_of(raw: Fields, now_ms: int) -> Alert:
    """Make the record. Raises InvalidInput only where the alert has no name."""
    severity, flags = severity_of(raw.severity)
    ts_ms, late_flags = _time_of(raw.ts, raw.arr_ms)
    name = name_of(raw.alertname)
    if name is None:
        raise InvalidInput("The alert's 'alertname' is empty. Give each alert a name.")
    env = name_of(raw.env)
    status: AlertStatus = "resolved" if text_of(raw.status).strip().lower() in _OVER else "firing"
    return Alert(
        id=name_of(raw.id) or digest(name, now_ms), ts_ms=ts_ms, arr_ms=raw.arr_ms,
        cluster=name_of(raw.cluster) or "default", env=_ENVS.get(env.lower(), env.lower()) if env else "prod",
        service=name_of(raw.service), instance=name_of(raw.instance), host=name_of(raw.host), alertname=name,
        severity=severity, summary=cap(clean(text_of(raw.summary)), TEXT_CHARS)[0],
        source=name_of(raw.source) or "generic", status=status, change=name_of(raw.change),
        labels={**_labels(raw.labels), **flags, **late_flags},
    )  # fmt: skip


def severity_of(value: object) -> tuple[Severity, dict[str, str]]:
    """Return the canonical severity and, when the word is unknown, a label that keeps it."""
    word = text_of(value).strip().lower()
    known = SEVERITIES.get(word) or SEVERITIES.get(f"p{word}" if word.isdigit() else word)
    if known is not None:
        return known, {}
    return "warning", ({"severity_unknown": word[:NAME_CHARS]} if word else {})


def _time_of(value: object, arr_ms: int) -> tuple[int, dict[str, str]]:
    try:
        return parse_ms(value), {}
    except InvalidInput:
        return arr_ms, ({"time_unreadable": name_of(value) or "empty"} if value is not None else {})


def text_of(value: object) -> str:
    """Return a stranger's value as text; a missing one and one of a nested kind are empty."""
    if isinstance(value, str):
        return value
    return "" if value is None or isinstance(value, dict | list | bool) else str(value)


def name_of(value: object) -> str | None:
    """Return a name on one line, cleaned and capped; None when nothing is left."""
    text = text_of(value)
    return (_one_line(text[: 4 * NAME_CHARS])[:NAME_CHARS] or None) if text else None


@lru_cache(maxsize=20_000)  # names and labels repeat; cleaning ten words was half of reading an alert
def _short_line(text: str) -> str:
    return one_line(text)


def _one_line(text: str) -> str:
    return _short_line(text) if len(text) <= NAME_CHARS else one_line(text)


def mapping_of(value: object, field_name: str) -> Mapping[str, Any]:
    """Return an object field, empty when missing. Raises InvalidInput when it is of another kind."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(f"The alert's {field_name!r} is {quoted(value)}. Send an object.")
    return value


def _labels(labels: Mapping[str, Any]) -> dict[str, str]:
    """Return the first 64 labels by name, cleaned and capped; nested values are left out."""
    kept = {}
    for name in sorted(map(str, labels))[:MAX_LABELS]:
        text = text_of(labels.get(name))
        if text:
            kept[_one_line(name[:LABEL_CHARS])] = _one_line(text[:LABEL_CHARS])
    return kept


def digest(*parts: object) -> str:
    """Return an id made of what identifies a delivery, so that a retried one has the same."""
    return "x-" + hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "replace")).hexdigest()[:24]
