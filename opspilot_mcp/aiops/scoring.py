"""How well an open incident explains an alert: one weight a relation, faded by time.

A relation says how the harm could have travelled: down the call graph from a symptom to a fault, over a shared host,
through the same change, as the same cause at several services at once. Time fades it: against the onset of the fault
it points at, or against the last new thing that happened nearby. Harm never travels from caller to callee once a fault
is known, and a fault is explained by another fault only where it is a consequence (a pod on a host that is down).
"""

from dataclasses import dataclass
from math import exp
from typing import NamedTuple

from opspilot_mcp.aiops.incident_state import Incident
from opspilot_mcp.aiops.signals import Signal, is_gone, is_shared
from opspilot_mcp.aiops.topology import Topology


@dataclass(frozen=True, slots=True)
class Params:
    """The one parameter set: weights in 0..1, times in ms."""

    join: float = 0.22  # an alert joins the best explanation at or above this, else it opens an incident
    join_fault: float = 0.50  # the same for an alert that names a fault
    join_storm: float = 0.52  # an alert of harm joins at or above this where causes are thick on the map
    also: float = 0.22  # a runner-up is listed at or above this
    move: float = 1.1  # a fault that shows up later takes over what it explains this much better
    tie: float = 0.40  # two young incidents without a cause merge when one alert ties both this well

    same_change: float = 0.97
    depends_on: float = 0.95  # a fault this service depends on, times `per_hop` for each call between
    per_hop: float = 0.88
    on_host: float = 0.93  # something gone from a host that is down
    gone_together: float = 0.85  # two services gone from one host within `together_ms`
    same_cause: float = 0.90  # a certificate or the like at services that share nothing
    cause_of: float = 0.90  # a fault below symptoms that had no cause
    late_cause: float = 0.75  # at least this well fits a fault that shows up to `lead_ms` after its harm
    same_entity: float = 0.70
    calls: float = 0.62
    same_host: float = 0.62
    called_by: float = 0.60
    same_burst: float = 0.50
    unplaced: float = 0.45  # the map does not know it, and something goes on in its cluster
    unlikely: float = 0.40  # possible, but a cause of its own is likelier
    off_path: float = 0.60  # factor on neighbours that no known fault of the incident explains
    unlit: float = 0.80  # factor when nothing between the service and the fault has alerted
    named: float = 1.1  # factor when the alert's words name the fault's place or a service on the way to it
    cover: float = 0.60  # a fault at a member of an incident without a cause explains at least this share of it
    spread: float = 0.08  # of two that explain far harm, the one that has spread wider: a factor 1 + this x ln(places)
    latched: float = 0.70  # factor when the incident has this alert, still firing, in other words

    repeat_ms: int = 330_000  # one alert told again within this stays where it is
    remind_ms: int = 240_000  # monitors remind of what still fires no sooner than this
    fade_ms: int = 160_000  # a neighbour's alert counts for exp(-silence / fade)
    fade_gaps: float = 6.0  # or longer, where the incident's own alerts come further apart
    onset_ms: int = 30_000  # harm is expected this long after the fault's first alert
    hop_ms: int = 40_000  # and this later for each call it has to climb
    early_ms: int = 60_000  # spread on the early side
    late_ms: int = 60_000  # and on the late side
    hop_spread_ms: int = 30_000  # spread added a call
    lead_ms: int = 90_000  # a symptom may be seen this long before its cause is
    lead_storm_ms: int = 20_000  # or this long where causes are thick on the map
    together_ms: int = 60_000
    storm_ms: int = 600_000  # causes are thick where `storm_share` x the services of the map, and one at least,
    storm_share: float = 0.02  # showed up within this beside the incident in question
    young_ms: int = 60_000  # incidents merge only when they opened within this
    burst_ms: int = 10_000  # a burst: `burst_alerts` within this
    burst_alerts: int = 8
    crowd_ms: int = 30_000  # an informational alert joins only where `crowd_alerts` came within this, before or after
    crowd_alerts: int = 6
    latch_ms: int = 45_000  # firing again after this, without resolve, is a refire
    front_ms: int = 20_000  # `front_alerts` refires within this are a second wave
    front_alerts: int = 5
    front_entities: int = 3
    front_spread_ms: int = 30_000  # with gaps that differ by this: repeats by timer have one gap
    onset_alerts: int = 8  # this many within `onset_crowd_ms`,
    onset_crowd_ms: int = 5_000
    onset_silence_ms: int = 30_000  # after a silence this long and longer than the incident's life, are a new onset
    active_ms: int = 900_000  # after this silence an incident only takes its own repeats
    keep_ms: int = 3_600_000  # and after this it is closed


PARAMS = Params()


class Explanation(NamedTuple):
    """One incident's best relation to an alert."""

    score: float
    kind: str
    entity: str | None  # the member or fault pointed at
    hops: int | None
    lag_ms: int  # from that member's alert to this one; negative when this one was first


NONE = Explanation(0.0, "none", None, None, 0)


def explain(incident: Incident, s: Signal, topology: Topology, p: Params) -> Explanation:
    """Return the incident's best explanation of the alert; score 0 when there is none."""
    if incident.lone or s.kind == "routine" or (s.change and incident.anchors and s.change not in incident.changes):
        return NONE
    best = _same_entity(incident, s, topology, p)
    if s.change and s.change in incident.changes:
        lag = s.ts_ms - incident.changes[s.change]
        best = _better(best, Explanation(p.same_change, "same_change", s.entity, 0, lag))
    if s.kind == "fault":
        best = _better(best, _fault(incident, s, topology, p))
    else:
        best = _better(best, _harm(incident, s, topology, p, best.score))
    if incident.anchors:
        seen = incident.prints.get(s.fingerprint)
        if seen is not None and seen.firing and seen.text != s.text:
            best = best._replace(score=best.score * p.latched)
    elif not s.known:
        silence = s.ts_ms - incident.last_novel_ms
        best = _better(best, Explanation(p.unplaced * fade(silence, incident, p), "unplaced", None, None, silence))
    return best


def _better(a: Explanation, b: Explanation) -> Explanation:
    return b if b.score > a.score else a


def fade(silence_ms: int, incident: Incident, p: Params) -> float:
    """Return how much a neighbour's alert still counts after that much silence, at the incident's own pace."""
    return exp(-abs(silence_ms) / max(p.fade_ms, p.fade_gaps * incident.pace_ms))


def onset_fit(lag_ms: int, hops: int, p: Params) -> float:
    """Return how well a lag behind a fault's first alert fits harm that climbed `hops` calls: 1 at the expected lag,
    falling as a normal before it and as a Cauchy curve after it, because late alerts are common."""
    if lag_ms < -p.lead_ms:
        return 0.0
    off = lag_ms - p.onset_ms - hops * p.hop_ms
    if off < 0:
        spread = p.early_ms + hops * p.hop_spread_ms
        return exp(-0.5 * (off / spread) ** 2)
    spread = p.late_ms + hops * p.hop_spread_ms
    return 1 / (1 + (off / spread) ** 2)


def _same_entity(incident: Incident, s: Signal, topology: Topology, p: Params) -> Explanation:
    seen = incident.entities.get(s.entity)
    if seen is None:
        return NONE
    weight = p.same_entity
    if s.kind == "fault" and incident.anchors:
        weight = _second_fault(incident, s, topology, p)
    elif s.kind == "fault":
        weight *= min(1.0, _share_explained(incident, s, topology) / p.cover)
    lag = s.ts_ms - seen[1]
    return Explanation(weight * fade(lag, incident, p), "same_entity", s.entity, 0, lag)


def _share_explained(incident: Incident, s: Signal, topology: Topology) -> float:
    """Share of an incident's entities that a fault at this one could have harmed."""
    harmed = topology.harmed_by(s.entity)
    return sum(1 for entity in incident.entities if entity == s.entity or entity in harmed) / len(incident.entities)


def _second_fault(incident: Incident, s: Signal, topology: Topology, p: Params) -> float:
    """Weight of a fault at a member of an incident whose cause is known: a cause of its own, unless it is that one."""
    if s.entity not in incident.anchors:
        return 0.0
    shared = is_shared(s.name)
    if any(is_shared(name) != shared for name in incident.causes):
        return 0.0  # an expired certificate does not fill a disk
    carried = s.service is not None and any(s.service in topology.on_host.get(a, ()) for a in incident.anchors)
    # What a host at fault does to the services it carries is that they go; another fault is something else.
    return p.unlikely if carried and not is_gone(s.name) else p.same_entity


def _fault(incident: Incident, s: Signal, topology: Topology, p: Params) -> Explanation:
    best = _host_fault(incident, s, topology, p) if s.service is None else _fault_on_host(incident, s, p)
    known_ms = incident.causes.get(s.name)
    if known_ms is not None and is_shared(s.name):
        lag = s.ts_ms - known_ms
        if abs(lag) <= p.together_ms and abs(s.ts_ms - incident.opened_ms) <= 2 * p.together_ms:
            best = _better(best, Explanation(p.same_cause, "same_cause", s.entity, None, lag))
    if s.service is not None and not incident.anchors:
        best = _better(best, _cause_below(incident, s, topology, p))
    return best


def _fault_on_host(incident: Incident, s: Signal, p: Params) -> Explanation:
    if not s.host:
        return NONE
    gone = is_gone(s.name)
    since = incident.anchors.get(s.host)
    if since is not None:
        weight = p.on_host if gone else p.unlikely
        return Explanation(weight * onset_fit(s.ts_ms - since, 1, p), "on_host", s.host, 1, s.ts_ms - since)
    last = incident.gone_on.get(s.host)
    if gone and last is not None and abs(s.ts_ms - last) <= p.together_ms:
        return Explanation(p.gone_together, "gone_together", s.host, 1, s.ts_ms - last)
    return NONE


def _host_fault(incident: Incident, s: Signal, topology: Topology, p: Params) -> Explanation:
    """A host fault above members that had no cause, or that are simply gone: the share of members it explains."""
    if s.entity in incident.anchors:
        return NONE
    if incident.anchors and not (is_gone(s.name) and _all_gone_from(incident, s.entity, topology)):
        return NONE
    reached: list[tuple[int, int]] = []
    for entity, seen in incident.entities.items():
        hops = topology.hosts_below(entity).get(s.entity) if entity in topology.services else None
        if hops is not None:
            reached.append((hops, seen[0]))
    return _cause(incident, s, reached, "host_of", p)


def _all_gone_from(incident: Incident, host: str, topology: Topology) -> bool:
    services = topology.on_host.get(host, ())
    return all(a in services for a in incident.anchors) and all(is_gone(name) for name in incident.causes)


def _cause_below(incident: Incident, s: Signal, topology: Topology, p: Params) -> Explanation:
    """A service fault below symptoms that had no cause: the share of members it explains."""
    above = topology.above(s.entity)
    reached = [(above[entity], seen[0]) for entity, seen in incident.entities.items() if entity in above]
    return _cause(incident, s, reached, "cause_of", p)


def _cause(incident: Incident, s: Signal, reached: list[tuple[int, int]], kind: str, p: Params) -> Explanation:
    if not reached:
        return NONE
    hops, first_ms = min(reached)
    share = sum(p.per_hop**h for h, _ in reached) / len(incident.entities)
    lag = first_ms - s.ts_ms
    fit = max(onset_fit(lag, hops, p), p.late_cause if -p.lead_ms <= lag < 0 else 0.0)
    return Explanation(p.cause_of * share * fit, kind, s.entity, hops, s.ts_ms - first_ms)


def _harm(incident: Incident, s: Signal, topology: Topology, p: Params, floor: float) -> Explanation:
    """What explains harm best, as far as it beats `floor`: a relation is not looked at whose weight alone cannot."""
    best = _below(incident, s, topology, p) if incident.anchors else NONE
    calls = p.calls * (p.off_path if incident.anchors and best.score == 0 else 1.0)
    if s.service is not None and calls > floor and calls > best.score:
        best = _better(best, _call(incident, s, "calls", topology.callees, calls, p))
    if not incident.anchors:
        if s.service is not None and p.called_by > floor and p.called_by > best.score:
            best = _better(best, _call(incident, s, "called_by", topology.callers, p.called_by, p))
        if p.same_host > floor and p.same_host > best.score:
            best = _better(best, _neighbour_on_host(incident, s, p))
    if floor < p.same_burst and best.score < p.same_burst and _is_in_burst(incident, s, topology, p):
        best = Explanation(p.same_burst, "same_burst", None, None, s.ts_ms - incident.last_ms)
    return best


def _is_in_burst(incident: Incident, s: Signal, topology: Topology, p: Params) -> bool:
    """Whether alerts of the incident come thick right now, at a place from which harm could have reached this one."""
    is_crowded = incident.is_crowded(s.ts_ms, p.burst_ms, p.burst_alerts)
    return is_crowded and not topology.are_apart((s.entity,), incident.entities)


def _below(incident: Incident, s: Signal, topology: Topology, p: Params) -> Explanation:
    """The incident's faults that this service depends on, through calls or through a host."""
    best, found = 0.0, NONE
    for anchor, since in incident.anchors.items():
        hops = 1 if s.host == anchor else topology.harmed_by(anchor).get(s.service or "")
        if hops is not None:
            lag = s.ts_ms - since
            score = p.depends_on * p.per_hop**hops * onset_fit(lag, hops, p)
            if s.mentions and hops and _names_way(s, anchor, topology):
                score *= p.named
            if hops >= 2 and not _is_lit(incident, s, anchor, topology):
                score *= p.unlit
            if score > best:
                best, found = score, Explanation(score, "depends_on", anchor, hops, lag)
    return found


def _names_way(s: Signal, anchor: str, topology: Topology) -> bool:
    """Whether the alert's words name the fault's place or a service on the way to it."""
    return any(name == anchor or anchor in topology.below(name) for name in s.mentions)


def _is_lit(incident: Incident, s: Signal, anchor: str, topology: Topology) -> bool:
    """Whether harm was seen on the way: a callee that alerted in the incident, or the service on the host itself."""
    if s.service is None or s.service in topology.on_host.get(anchor, ()):
        return True
    return any(callee in incident.entities for callee in topology.callees.get(s.service, ()))


def _call(
    incident: Incident, s: Signal, kind: str, around: dict[str, tuple[str, ...]], weight: float, p: Params
) -> Explanation:
    """The direct neighbour over a call that alerted last."""
    best, found = 0.0, NONE
    for name in around.get(s.service or "", ()):
        seen = incident.entities.get(name)
        if seen is not None:
            lag = s.ts_ms - seen[1]
            score = weight * fade(lag, incident, p)
            if score > best:
                best, found = score, Explanation(score, kind, name, 1, lag)
    return found


def _neighbour_on_host(incident: Incident, s: Signal, p: Params) -> Explanation:
    if not s.host:
        return NONE
    last = incident.hosts.get(s.host)
    if last is None and s.host in incident.entities:
        last = incident.entities[s.host][1]
    if last is None:
        return NONE
    lag = s.ts_ms - last
    return Explanation(p.same_host * fade(lag, incident, p), "same_host", s.host, 1, lag)
