"""What later alerts change about earlier ones: a second wave splits off, young incidents merge, members move to the
cause that explains them better. Only recent members move, so that every revision is bounded.
"""

from opspilot_mcp.aiops.incident_state import Incident, Member, Refire
from opspilot_mcp.aiops.placement import LISTED, Placement, incident_key
from opspilot_mcp.aiops.reasons import because, reason
from opspilot_mcp.aiops.scope import Scope
from opspilot_mcp.aiops.scoring import Explanation, Params, explain
from opspilot_mcp.aiops.signals import PRINT_SEPARATOR, Signal
from opspilot_mcp.aiops.topology import Topology

_TIES = frozenset({"same_entity", "called_by", "same_host", "same_burst"})
_CAUSES = frozenset({"cause_of", "same_entity", "host_of"})
_GAP_GRAIN_MS = 2_000


def end_of(key: str, into: dict[str, str]) -> str:
    """Follow merges (loser -> survivor) to the incident that is left."""
    while key in into:
        key = into[key]
    return key


# ---- a second wave


def second_wave(
    scope: Scope, incident: Incident, s: Signal, gap_ms: int, placed: Placement, p: Params, seq: int
) -> Placement:
    """Split a second onset off: many conditions that never resolved fire anew within seconds, after unlike gaps.

    A condition that holds does not fire twice; monitors that remind do it after one fixed gap. What came since the
    front moves to a new incident, and the old one takes nothing new.
    """
    incident.wave = [r for r in incident.wave if abs(s.ts_ms - r.ts_ms) <= p.front_ms]
    incident.wave.append(Refire(s.ts_ms, gap_ms, s.entity, s.fingerprint))
    if not _is_front(incident.wave, p):
        return placed
    return _split_off(scope, incident, s, min(r.ts_ms for r in incident.wave), "second_wave", placed, p, seq)


def new_onset(scope: Scope, incident: Incident, s: Signal, placed: Placement, p: Params, seq: int) -> Placement:
    """Split a crowd off that came after a silence longer than all that the incident had lived before it.

    Only where no fault is known: a fault that shows late explains such a crowd.
    """
    n, stamps = p.onset_alerts, incident.stamps
    if incident.anchors or len(stamps) <= n or s.ts_ms < stamps[-n] or stamps[-1] - stamps[-n] > p.onset_crowd_ms:
        return placed
    start, before = stamps[-n], stamps[-n - 1]
    if start - before < max(p.onset_silence_ms, before - incident.opened_ms):
        return placed
    return _split_off(scope, incident, s, start, "new_onset", placed, p, seq)


def _split_off(
    scope: Scope, incident: Incident, s: Signal, start: int, kind: str, placed: Placement, p: Params, seq: int
) -> Placement:
    """Move what came since `start` to a new incident, opened by this alert; the old one takes nothing new."""
    front = [m for m in incident.recent if m.signal.ts_ms >= start]
    if not front or front[-1].signal.alert_id != s.alert_id:
        return placed
    other = Incident(incident_key(scope.cluster, scope.env, s.alert_id), scope.cluster, scope.env, start)
    scope.open[other.key] = other
    other.front_ms = incident.sealed_ms = start
    scope.touched[incident.key] = None
    incident.wave = []
    moved = []
    for member in front:
        m = member.signal
        why = reason(kind, m, m.entity, 0, m.ts_ms - start, p.same_entity)
        scope.move(member, incident, other, why, (), seq)
        moved.append(Placement(m.alert_id, other.key, why))
    return moved[-1]._replace(opened=True, revised=tuple(moved[:-1]))


def _is_front(wave: list[Refire], p: Params) -> bool:
    gaps = [r.gap_ms for r in wave]
    return (
        len({r.fingerprint for r in wave}) >= p.front_alerts
        and len({r.entity for r in wave}) >= p.front_entities
        and max(gaps) - min(gaps) >= p.front_spread_ms
        and len({gap // _GAP_GRAIN_MS for gap in gaps}) >= p.front_alerts
    )


# ---- merging


def tie(
    scope: Scope, s: Signal, found: list[tuple[Explanation, Incident]], topology: Topology, p: Params
) -> tuple[tuple[str, str], ...]:
    """Merge young incidents that one alert shows to be one; returns (loser, survivor) in order.

    Never because a common caller suffers: only over a dependency or host they share, or a fault that explains both.
    """
    e, incident = found[0]
    if incident.anchors and s.kind != "fault":
        return ()
    merged = []
    for other_e, other in found[1:]:
        if other_e.score < p.tie or not _may_merge(s, e, incident, other_e, other, p):
            continue
        if s.kind != "fault" and topology.are_apart(incident.entities, other.entities):
            continue  # what stands nowhere on the map came in the middle of both
        survivor, loser = sorted((incident, other), key=lambda i: (i.opened_ms, i.key))
        scope.merge(survivor, loser)
        merged.append((loser.key, survivor.key))
        incident = survivor
    return tuple(merged)


def _may_merge(s: Signal, e: Explanation, a: Incident, other_e: Explanation, b: Incident, p: Params) -> bool:
    is_fault = s.kind == "fault"
    if abs(a.opened_ms - b.opened_ms) > (p.lead_ms if is_fault else p.young_ms):
        return False
    if b.key in a.apart or a.key in b.apart:
        return False
    if not is_fault:
        return not b.anchors and e.kind in _TIES and other_e.kind in _TIES
    kinds = {e.kind, other_e.kind}
    if a.anchors and b.anchors:
        return kinds == {"host_of"}
    if not a.anchors and not b.anchors and kinds <= _CAUSES:
        return True
    return kinds == {"host_of"} or "same_cause" in kinds or "on_host" in kinds


def split(scope: Scope, incident: Incident, entities: set[str], new_key: str) -> Incident:
    """Move the chosen entities and their recent members to a new incident; the two stay apart."""
    other = Incident(new_key, incident.cluster, incident.env, incident.opened_ms)
    other.apart, incident.apart = [incident.key], sorted({*incident.apart, new_key})
    for member in [m for m in incident.recent if m.signal.entity in entities]:
        incident.drop(member)
        other.add(member.signal, member.reason, member.also, 0)
    other.unmapped = set(incident.unmapped)
    for entity in sorted(entities & incident.entities.keys()):
        other.entities[entity] = incident.entities.pop(entity)
        since = incident.anchors.pop(entity, None)
        if since is not None:
            other.anchors[entity] = since
    for fingerprint in [f for f in incident.prints if f.split(PRINT_SEPARATOR, 1)[0] in entities]:
        other.prints[fingerprint] = incident.prints.pop(fingerprint)
        other.rank = max(other.rank, other.prints[fingerprint].rank)
    counted = sum(seen[2] for seen in other.entities.values())
    incident.count, other.count = max(0, incident.count - counted + other.count), max(other.count, counted)
    _lead(scope, other)
    return other


def _lead(scope: Scope, incident: Incident) -> None:
    scope.index(incident)
    for fingerprint in incident.prints:
        scope.by_print[fingerprint] = incident.key
    for word in incident.words:
        scope.by_words[word] = incident.key


# ---- a cause that shows up later


def reconsider(
    scope: Scope, cause: Incident, s: Signal, topology: Topology, p: Params, seq: int
) -> tuple[Placement, ...]:
    """Hold recent harm of other incidents against a fault that has just shown up.

    What the fault explains clearly better moves; what it explains as well lists it as a runner-up.
    """
    revised: list[Placement] = []
    since_ms = s.ts_ms - p.lead_ms
    for incident in scope.near_harm(cause, s, topology, since_ms):
        for member in list(incident.recent):
            m = member.signal
            score = member.reason.score
            if m.ts_ms < since_ms or m.kind in ("fault", "routine") or score is None or score >= 0.98:
                continue
            e = explain(cause, m, topology, p)
            if e.score > score * p.move and incident.count > 1:
                also = (incident.key, *member.also)[:LISTED]
                why = because(e, m)
                scope.move(member, incident, cause, why, also, seq)
                revised.append(Placement(m.alert_id, cause.key, why, also))
                revised += _follow(scope, incident, cause, m, also, seq)
            elif e.score >= p.also and len(member.also) < LISTED and cause.key not in member.also:
                scope.touched[incident.key] = None
                revised.append(_list_also(incident, member, cause.key))
    return tuple(revised)


def _follow(
    scope: Scope, home: Incident, to: Incident, moved: Signal, also: tuple[str, ...], seq: int
) -> list[Placement]:
    """What repeats or quotes an alert that moved goes with it."""
    revised = []
    for member in [m for m in home.recent if moved.said == m.signal.quotes or moved.text == m.signal.text]:
        scope.move(member, home, to, member.reason, also, seq)
        revised.append(Placement(member.signal.alert_id, to.key, member.reason, also))
    return revised


def _list_also(incident: Incident, member: Member, key: str) -> Placement:
    also = (*member.also, key)
    incident.recent[incident.recent.index(member)] = member._replace(also=also)
    seen = incident.prints.get(member.signal.fingerprint)
    if seen is not None:
        seen.also = also
    return Placement(member.signal.alert_id, incident.key, member.reason, also)
