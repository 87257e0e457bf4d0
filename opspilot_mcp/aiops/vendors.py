"""One reader a monitor: its webhook body in, the raw parts of its alerts out. No reader opens a link it is sent."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from opspilot_mcp.aiops.payloads import Fields, digest, mapping_of, text_of
from opspilot_mcp.errors import InvalidInput, quoted

Body = Mapping[str, Any]

# Labels in which monitors put the same fact, the most exact first.
_SERVICE = ("service", "service_name", "app", "app_kubernetes_io_name", "application", "component", "job")
_INSTANCE = ("pod", "pod_name", "instance")
_HOST = ("host", "hostname", "node", "nodename")
_ENV = ("env", "environment", "stage")
_CHANGE = ("change", "change_id")
_NAMES = ("alertname", "name", "title", "summary")  # where an alert without the label keeps its name


def _first(labels: Body, names: tuple[str, ...]) -> object:
    return next((labels[name] for name in names if text_of(labels.get(name))), None)


def _need(body: Body, name: str, kind: str) -> Any:
    value = body.get(name)
    if not text_of(value):
        raise InvalidInput(f"The {kind} payload has no {name!r}. Check that the monitor sends its standard body.")
    return value


def _from_labels(labels: Body) -> dict[str, object]:
    return {
        "cluster": labels.get("cluster"),
        "env": _first(labels, _ENV),
        "service": _first(labels, _SERVICE),
        "instance": _first(labels, _INSTANCE),
        "host": _first(labels, _HOST),
        "severity": _first(labels, ("severity", "level", "priority")),
        "change": _first(labels, _CHANGE),
    }


def _stable(labels: Body) -> str:
    return json.dumps(labels, sort_keys=True, default=str)


# ---- Prometheus and Grafana


def alertmanager(body: Body, now_ms: int, source: str = "alertmanager") -> Iterable[Fields]:
    """Alertmanager webhook, versions 3 and 4: a group of alerts, each with its own state."""
    alerts = body.get("alerts")
    if not isinstance(alerts, list):
        raise InvalidInput(
            "The Alertmanager payload has no list 'alerts'. Check that the monitor sends its webhook body."
        )
    for number, alert in enumerate(alerts):
        if not isinstance(alert, dict):
            raise InvalidInput(f"The Alertmanager payload's 'alerts[{number}]' is not an object. Send it unchanged.")
        yield _prometheus(alert, now_ms, source)


def prometheus(body: Body, now_ms: int) -> Iterable[Fields]:
    """A single alert as Prometheus posts it to an Alertmanager."""
    return [_prometheus(body, now_ms, "prometheus")]


def _prometheus(alert: Body, now_ms: int, source: str) -> Fields:
    labels = mapping_of(alert.get("labels"), "labels")
    notes = mapping_of(alert.get("annotations"), "annotations")
    name = next((n for n in (labels.get("alertname"), *map(alert.get, _NAMES)) if text_of(n)), None)
    if not text_of(name):
        raise InvalidInput("The alert's 'labels.alertname' is missing. Send the labels of the alerting rule.")
    over = text_of(alert.get("status")).lower() == "resolved"
    started, ended = alert.get("startsAt"), alert.get("endsAt")
    ts = ended if over and ended and not text_of(ended).startswith("0001") else started
    identity = alert.get("fingerprint") or _stable(labels)
    when = text_of(ts) or str(now_ms // 60_000)
    return Fields(
        id=digest(source, identity, name, when, over), alertname=name, source=source, ts=ts, arr_ms=now_ms,
        summary=notes.get("summary") or notes.get("description") or notes.get("message") or alert.get("summary"),
        status="resolved" if over else "firing", labels=labels, **_from_labels(labels),
    )  # fmt: skip


def grafana(body: Body, now_ms: int) -> Iterable[Fields]:
    """Grafana: unified alerting speaks Alertmanager's form, legacy alerting has one rule a body."""
    if isinstance(body.get("alerts"), list):
        return alertmanager(body, now_ms, "grafana")
    return [_legacy_grafana(body, now_ms)]


def _legacy_grafana(body: Body, now_ms: int) -> Fields:
    name = _need(body, "ruleName", "Grafana")
    matches = body.get("evalMatches")
    first = matches[0] if isinstance(matches, list) and matches and isinstance(matches[0], dict) else {}
    tags = {**mapping_of(first.get("tags"), "evalMatches.tags"), **mapping_of(body.get("tags"), "tags")}
    state = text_of(body.get("state")).lower()
    return Fields(
        id=digest("grafana", body.get("ruleId"), name, state, now_ms // 60_000), alertname=name, source="grafana",
        ts=now_ms, arr_ms=now_ms, summary=body.get("message") or body.get("title"),
        status="resolved" if state == "ok" else "firing", labels=tags, **_from_labels(tags),
    )  # fmt: skip


# ---- PagerDuty


def pagerduty(body: Body, now_ms: int) -> Iterable[Fields]:
    """PagerDuty: an Events API v2 event, or a webhook of version 2 (`messages`) or 3 (`event`)."""
    if "event_action" in body:
        return [_pagerduty_event(body, now_ms)]
    if isinstance(body.get("messages"), list):
        return [_pagerduty_message(m, now_ms) for m in body["messages"] if isinstance(m, dict)]
    event = mapping_of(body.get("event"), "event")
    data = mapping_of(event.get("data"), "event.data")
    kind = text_of(_need(event, "event_type", "PagerDuty"))
    return [_pagerduty_incident(data, event.get("id"), kind, event.get("occurred_at"), data.get("title"), now_ms)]


def _pagerduty_event(body: Body, now_ms: int) -> Fields:
    payload = mapping_of(body.get("payload"), "payload")
    action = text_of(body.get("event_action")).lower()
    if action not in ("trigger", "acknowledge", "resolve"):
        raise InvalidInput(f"The PagerDuty 'event_action' is {quoted(action)}. Send trigger, acknowledge or resolve.")
    key = text_of(body.get("dedup_key"))
    name = payload.get("class") or payload.get("summary") or key
    if not text_of(name):
        raise InvalidInput("The PagerDuty event has no 'payload.summary'. Send the event's standard body.")
    when = payload.get("timestamp")
    details = mapping_of(payload.get("custom_details"), "payload.custom_details")
    return Fields(
        id=digest("pagerduty", key or name, action, when or now_ms // 60_000), alertname=name, source="pagerduty",
        ts=when or now_ms, arr_ms=now_ms, service=payload.get("component") or payload.get("group"),
        host=payload.get("source"), severity=payload.get("severity"), summary=payload.get("summary"),
        status="resolved" if action == "resolve" else "firing", labels=details,
        env=_first(details, _ENV), cluster=details.get("cluster"), change=_first(details, _CHANGE),
    )  # fmt: skip


def _pagerduty_message(message: Body, now_ms: int) -> Fields:
    incident = mapping_of(mapping_of(message.get("data"), "data").get("incident"), "data.incident")
    subject = mapping_of(incident.get("trigger_summary_data"), "trigger_summary_data").get("subject")
    kind = text_of(_need(message, "type", "PagerDuty"))
    return _pagerduty_incident(incident, message.get("id"), kind, message.get("created_on"), subject, now_ms)


def _pagerduty_incident(
    incident: Body, event_id: object, kind: str, when: object, title: object, now_ms: int
) -> Fields:
    service = mapping_of(incident.get("service"), "incident.service")
    name = title or incident.get("id") or kind
    return Fields(
        id=event_id or digest("pagerduty", name, kind, when), alertname=name, source="pagerduty", ts=when,
        arr_ms=now_ms, service=service.get("name") or service.get("summary"), severity=incident.get("urgency"),
        summary=title, status="resolved" if kind.endswith(("resolve", "resolved")) else "firing",
    )  # fmt: skip


# ---- Amazon CloudWatch


def cloudwatch(body: Body, now_ms: int) -> Iterable[Fields]:
    """CloudWatch alarms, as SNS delivers them. A subscription is confirmed by a person: its link is never opened."""
    kind = body.get("Type")
    if kind in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        raise InvalidInput(
            "This is an SNS confirmation, no alarm. A person confirms the subscription in the AWS console."
        )
    alarm = _alarm(body.get("Message", body))
    name = _need(alarm, "AlarmName", "CloudWatch")
    trigger = mapping_of(alarm.get("Trigger"), "Trigger")
    facts = {**_dimensions(trigger), "region": alarm.get("Region"), "namespace": trigger.get("Namespace")}
    state = text_of(alarm.get("NewStateValue")) or "ALARM"
    when = alarm.get("StateChangeTime") or body.get("Timestamp")
    return [
        Fields(
            id=digest("cloudwatch", name, state, when or now_ms // 60_000), alertname=name, source="cloudwatch",
            ts=when or now_ms, arr_ms=now_ms, service=_first(facts, ("ServiceName", "FunctionName", "LoadBalancer")),
            instance=_first(facts, ("InstanceId", "DBInstanceIdentifier", "PodName")), cluster=facts.get("ClusterName"),
            severity="info" if state == "INSUFFICIENT_DATA" else alarm.get("Priority") or "error",
            summary=_told(alarm, body), status="resolved" if state == "OK" else "firing", labels=facts,
        )
    ]  # fmt: skip


def _alarm(message: object) -> Body:
    if isinstance(message, str):
        try:
            message = json.loads(message)
        except ValueError:
            message = None
    if not isinstance(message, dict):
        raise InvalidInput("The SNS 'Message' is no CloudWatch alarm. Subscribe this address to alarms only.")
    return message


def _told(alarm: Body, body: Body) -> str:
    parts = (body.get("Subject"), alarm.get("AlarmDescription"), alarm.get("NewStateReason"))
    return " | ".join(text_of(part) for part in parts if text_of(part))


def _dimensions(trigger: Body) -> dict[str, object]:
    listed = trigger.get("Dimensions")
    pairs = [d for d in listed if isinstance(d, dict)] if isinstance(listed, list) else []
    return {text_of(d.get("name")): d.get("value") for d in pairs if text_of(d.get("name"))}


# ---- Datadog, Sentry and others


def datadog(body: Body, now_ms: int) -> Iterable[Fields]:
    """Datadog's webhook with its standard template variables; tags are `key:value`."""
    tags = _tags(body.get("tags"))
    state = text_of(body.get("alert_transition") or body.get("transition")).lower()
    name = _need(body, "title", "Datadog")
    when = body.get("date") or body.get("last_updated") or body.get("timestamp")
    key = body.get("alert_cycle_key") or body.get("monitor_id") or body.get("alert_id")
    levels = {"error": "critical", "success": "info"}  # Datadog's "error" is its gravest level
    level = text_of(body.get("alert_type")).lower()
    facts = {**tags, "host": tags.get("host") or body.get("hostname") or body.get("host")}
    return [
        Fields(
            id=digest("datadog", key, name, state, when or now_ms // 60_000), alertname=name, source="datadog",
            ts=when or now_ms, arr_ms=now_ms, summary=_first(body, ("message", "body", "description")),
            status="resolved" if state.startswith("recovered") or level == "success" else "firing", labels=tags,
            **{**_from_labels(facts), "severity": _priority(body) or levels.get(level, level) or None},
        )
    ]  # fmt: skip


def _priority(body: Body) -> str | None:
    word = text_of(body.get("priority")).strip().lower()
    return (f"p{word}" if word.isdigit() else word) if word and word not in ("normal", "low") else None


def _tags(value: object) -> dict[str, object]:
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    pairs = (text_of(part).strip().partition(":") for part in parts)
    return {name: rest for name, colon, rest in pairs if colon and name}


def sentry(body: Body, now_ms: int) -> Iterable[Fields]:
    """Sentry: an issue or event alert of an integration (`data`), or the older per-project webhook."""
    data = mapping_of(body.get("data"), "data")
    event = mapping_of(data.get("event") or data.get("issue") or body.get("event"), "event")
    project = body.get("project_slug") or body.get("project") or _named(event.get("project"))
    title = event.get("title") or body.get("message") or event.get("message")
    if not text_of(title):
        raise InvalidInput("The Sentry payload has no 'event.title'. Check that it is an issue or event alert.")
    when = event.get("timestamp") or event.get("datetime") or event.get("lastSeen")
    key = event.get("event_id") or event.get("id") or body.get("id")
    return [
        Fields(
            id=digest("sentry", key, title, when or now_ms // 60_000), alertname="SentryIssue", source="sentry",
            ts=when or now_ms, arr_ms=now_ms, service=project, env=event.get("environment"),
            severity=event.get("level") or body.get("level"), status=body.get("action"), change=None,
            summary=f"{text_of(title)} ({text_of(body.get('culprit') or event.get('culprit'))})",
            labels={"issue": body.get("id") or event.get("issue_id"), "release": _named(event.get("release"))},
        )
    ]  # fmt: skip


def _named(value: object) -> object:
    return value.get("slug") or value.get("version") or value.get("name") if isinstance(value, dict) else value


def stackdriver(body: Body, now_ms: int) -> Iterable[Fields]:
    """Google Cloud Monitoring (Stackdriver): one incident a body."""
    incident = mapping_of(body.get("incident"), "incident")
    name = incident.get("condition_name") or _need(incident, "policy_name", "Stackdriver")
    over = text_of(incident.get("state")).lower() == "closed"
    when = incident.get("ended_at") if over else incident.get("started_at")
    resource = mapping_of(incident.get("resource"), "incident.resource")
    labels = mapping_of(resource.get("labels"), "incident.resource.labels")
    return [
        Fields(
            id=digest("stackdriver", incident.get("incident_id"), over, when), alertname=name, source="stackdriver",
            ts=when or now_ms, arr_ms=now_ms, summary=incident.get("summary"), labels=labels,
            status="resolved" if over else "firing",
            **{
                **_from_labels(labels),
                "instance": incident.get("resource_name") or incident.get("resource_id"),
                "severity": incident.get("severity") or "error",
            },
        )
    ]  # fmt: skip


def riemann(body: Body, now_ms: int) -> Iterable[Fields]:
    """A Riemann event: its service is what it measures, its state the verdict."""
    state, when = text_of(body.get("state")).lower(), body.get("time")
    name = _need(body, "service", "Riemann")
    return [
        Fields(
            id=digest("riemann", body.get("host"), name, state, when or now_ms // 60_000), alertname=name,
            source="riemann", ts=when or now_ms, arr_ms=now_ms, host=body.get("host"), severity=state,
            summary=body.get("description"), status=state,
        )
    ]  # fmt: skip


def pingdom(body: Body, now_ms: int) -> Iterable[Fields]:
    """Pingdom: a check that went up or down."""
    state, when = text_of(body.get("current_state")), body.get("state_changed_timestamp")
    checked = mapping_of(body.get("check_params"), "check_params")
    check = text_of(body.get("check_name"))
    return [
        Fields(
            id=digest("pingdom", body.get("check_id"), state, when), source="pingdom", ts=when or now_ms, arr_ms=now_ms,
            alertname=f"{text_of(body.get('check_type'))}CheckDown", service=check, host=checked.get("hostname"),
            severity="critical" if body.get("importance_level") == "HIGH" else "error", status=state,
            summary=f"{check} is {state}: {text_of(body.get('long_description'))}",
        )
    ]  # fmt: skip


def zabbix(body: Body, now_ms: int) -> Iterable[Fields]:
    """Zabbix's webhook media type, with the parameter names of its own templates."""
    name = body.get("trigger_name") or _need(body, "event_name", "Zabbix")
    levels = ("info", "info", "warning", "warning", "error", "critical")  # not classified .. disaster
    level = text_of(body.get("event_nseverity"))
    tags = _tags(body.get("event_tags"))
    over = text_of(body.get("event_value")) == "0"
    return [
        Fields(
            id=digest("zabbix", body.get("event_id"), name, over), alertname=name, source="zabbix",
            ts=body.get("event_time_ms") or body.get("event_timestamp") or now_ms, arr_ms=now_ms,
            summary=body.get("event_name") or body.get("alert_message") or name, labels=tags,
            status="resolved" if over else "firing",
            **{
                **_from_labels(tags),
                "host": body.get("host_name") or body.get("host"),
                "severity": levels[int(level)] if level.isdigit() and int(level) < len(levels) else level,
            },
        )
    ]  # fmt: skip


def bare_cloudevent(body: Body, now_ms: int) -> Fields:
    """A CloudEvent whose data is no known alert: its type is the name, its subject or source the place."""
    data = body.get("data")
    facts = data if isinstance(data, dict) else {}
    return Fields(
        id=digest("cloudevents", body.get("source"), body.get("id")), alertname=_need(body, "type", "CloudEvents"),
        source="cloudevents", ts=body.get("time") or now_ms, arr_ms=now_ms,
        summary=facts.get("message") or facts.get("summary") or body.get("subject"), status=facts.get("status"),
        labels=facts,
        **{**_from_labels(facts), "service": _first(facts, _SERVICE) or body.get("subject") or body.get("source")},
    )  # fmt: skip
