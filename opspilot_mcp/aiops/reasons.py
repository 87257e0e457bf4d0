"""Reasons in words: one sentence a relation, with the numbers a program can check beside it."""

from opspilot_mcp.aiops.incident_state import Reason
from opspilot_mcp.aiops.scoring import Explanation
from opspilot_mcp.aiops.signals import Signal

_SENTENCES = {
    "same_change": "{me} carries the change that the incident carries, {ago}.",
    "depends_on": "{me} depends on {entity}, {hops} away, whose fault was first seen {ago}.",
    "on_host": "{me} runs on host {entity}, which is at fault, first seen {ago}.",
    "gone_together": "{me} went from host {entity} together with another service, {ago}.",
    "host_of": "Host {entity} carries what alerted without a cause, {hops} away, first seen {ago}.",
    "cause_of": "{entity} has a fault and stands below what alerted without a cause, {hops} away, first seen {ago}.",
    "same_cause": "{entity} shows the same cause as another service of the incident, {ago}.",
    "same_entity": "{entity} alerted {ago}.",
    "calls": "{me} calls {entity}, which alerted {ago}.",
    "called_by": "{me} is called by {entity}, which alerted {ago}.",
    "same_host": "Another alert of host {entity} came {ago}.",
    "same_burst": "It came in the middle of a burst of alerts of the incident.",
    "unplaced": "The map does not know {me}; the incident's last news in this cluster came {ago}.",
    "repeat": "The same alert of {entity} was here {ago}.",
    "recurs": "The same lone alert of {entity} was here {ago}.",
    "quotes": "It repeats the words of an alert of the incident, seen {ago}.",
    "second_wave": "Alerts of {entity} and others fired anew together: a second onset, not the first one going on.",
    "new_onset": "A crowd came after a silence longer than all before it: a new onset, not the first one going on.",
    "opened": "First alert of a new incident, at {entity}.",
}

_SUPPRESSED = {
    "maintenance": "Planned work on host {entity}: kept, and nobody is told.",
    "informational": "Informational, and no incident is busy around it: kept, and nobody is told.",
    "nothing_to_resolve": "It ends an alert of {entity} that no open incident holds: kept, and nobody is told.",
}


def _ago(lag_ms: int) -> str:
    if abs(lag_ms) < 1000:
        return "in the same second"
    return f"{lag_ms / 1000:.0f} s earlier" if lag_ms > 0 else f"{-lag_ms / 1000:.0f} s later"


def _hops(hops: int | None) -> str:
    return "1 hop" if hops == 1 else f"{hops or 0} hops"


def reason(kind: str, s: Signal, entity: str | None, hops: int | None, lag_ms: int, score: float | None) -> Reason:
    """Return the reason for an alert's place; `lag_ms` is from what it points at to the alert."""
    text = _SENTENCES[kind].format(me=s.entity, entity=entity, hops=_hops(hops), ago=_ago(lag_ms))
    return Reason(kind, entity, hops, lag_ms / 1000, None if score is None else round(score, 4), text)


def because(e: Explanation, s: Signal) -> Reason:
    """Return an explanation as the reason of a placement."""
    return reason(e.kind, s, e.entity, e.hops, e.lag_ms, e.score)


def suppressed(kind: str, entity: str | None) -> Reason:
    """Return why an alert stands in no incident: `informational`, `maintenance` or `nothing_to_resolve`."""
    return Reason(kind, entity, None, None, None, _SUPPRESSED[kind].format(entity=entity))
