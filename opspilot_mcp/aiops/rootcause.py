"""Which entity is the likely root of an incident: ranked candidates, each with the terms of its score.

"The deepest and the earliest" fails on real systems, where one fault makes hundreds of detectors fire at once. What
singles a root out is what it shows alone: an alert that few other places raise in this incident, that this place
rarely raised in earlier ones, and that came early. A fault that a rule names counts by how much of the incident lies
above it. What most replicas of a service show together speaks for the service, what one shows alone for the instance.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from opspilot_mcp.aiops.history import History
from opspilot_mcp.aiops.incident_state import Incident, Seen
from opspilot_mcp.aiops.signals import PRINT_SEPARATOR, kind_of
from opspilot_mcp.aiops.topology import Topology

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each kind of evidence counts. Chosen where MicroSS and Boutique bed 1 both stay flat."""

    fault: float = 3.0  # a rule names the fault here
    deviation: float = 1.0  # a detector saw a metric of this place move
    symptom: float = 0.3
    service_metric: float = 0.5  # of a service as a whole: response rate and time are harm more often than cause
    info: float = 0.5  # factor on what was only informational
    early: float = 0.8  # factor a minute after the incident opened
    next_best: float = 0.9  # factor from one piece of evidence to the next weaker one
    majority: float = 0.6  # share of replicas that must show the same before it speaks for the service
    closeness: float = 0.88  # factor a call between a symptom and its explanation


WEIGHTS = Weights()


class Candidate(NamedTuple):
    """One possible root. `why` is a sentence made of the terms; `terms` are the numbers behind `score`."""

    entity: str
    score: float
    why: str
    terms: tuple[tuple[str, float], ...] = ()


class Evidence(NamedTuple):
    """One alert name at one place."""

    place: str  # instance, else service, else host
    service: str | None
    name: str
    kind: str
    first_ms: int
    rank: int
    weight: float


def symptoms(incident: Incident) -> list[tuple[str, str, int]]:
    """Return (place, alert name, alerts) of an incident, sorted: what its history learns and what runbooks match."""
    found: dict[tuple[str, str], int] = {}
    for fingerprint, seen in incident.prints.items():
        entity, instance, name = _parts(fingerprint)
        key = (instance or entity, name)
        found[key] = found.get(key, 0) + seen.count
    return [(place, name, n) for (place, name), n in sorted(found.items())]


@lru_cache(maxsize=20_000)
def _parts(fingerprint: str) -> tuple[str, str, str]:
    """Return entity, instance (maybe empty) and alert name. Kept: an open incident is ranked anew with every batch."""
    entity, instance, name = fingerprint.split(PRINT_SEPARATOR)[:3]
    return entity, instance, name


def rank(
    incident: Incident,
    topology: Topology,
    history: History | None = None,
    *,
    limit: int = 5,
    weights: Weights = WEIGHTS,
) -> list[Candidate]:
    """Return candidates, best first; equals in the order of their names. Same input, same answer."""
    evidence = _gather(incident, topology, history or History(), weights)
    score: dict[str, list[tuple[float, str]]] = {}
    shown = _places_by_name(evidence)
    for e in evidence:
        if e.kind != "fault":
            score.setdefault(e.place, []).append((e.weight / len(shown[e.name]), e.name))
    _service_evidence(score, shown, topology, weights)
    _fault_evidence(score, evidence, incident, topology, weights)
    _host_evidence(score, incident, weights)
    if not any(e.kind in ("fault", "deviation") for e in evidence):
        _coverage_evidence(score, evidence, topology, weights)
    return _ordered(score, limit, weights)


def _gather(incident: Incident, topology: Topology, history: History, w: Weights) -> list[Evidence]:
    """One piece of evidence for each (place, alert name), weighted by kind, time and rarity."""
    first: dict[tuple[str, str], Seen] = {}
    where: dict[tuple[str, str], tuple[str, str]] = {}
    for fingerprint, seen in incident.prints.items():
        entity, instance, name = _parts(fingerprint)
        key = (instance or entity, name)
        if key not in first or seen.first_ms < first[key].first_ms:
            first[key], where[key] = seen, (entity, instance)
    found = []
    for (place, name), seen in sorted(first.items(), key=lambda item: item[0]):
        entity, instance = where[(place, name)]
        service = entity if entity in topology.services else None
        kind = kind_of(name)
        weight = w.deviation if kind == "deviation" else w.fault if kind == "fault" else w.symptom
        if kind == "deviation" and service is not None and not instance:
            weight *= w.service_metric
        if seen.rank == 0:
            weight *= w.info
        weight *= w.early ** ((seen.first_ms - incident.opened_ms) / MINUTE_MS)
        weight *= history.rarity(incident.cluster, place, name)
        found.append(Evidence(place, service, name, kind, seen.first_ms, seen.rank, weight))
    return found


def _places_by_name(evidence: Iterable[Evidence]) -> dict[str, list[Evidence]]:
    shown: dict[str, list[Evidence]] = {}
    for e in evidence:
        shown.setdefault(e.name, []).append(e)
    return shown


def _service_evidence(
    score: dict[str, list[tuple[float, str]]],
    shown: dict[str, list[Evidence]],
    topology: Topology,
    w: Weights,
) -> None:
    """What most replicas of a service show and few others do speaks for the service."""
    for name, places in shown.items():
        by_service: dict[str, list[Evidence]] = {}
        for e in places:
            if e.kind != "fault" and topology.instances.get(e.place) is not None:
                by_service.setdefault(topology.instances[e.place], []).append(e)
        for service, members in by_service.items():
            replicas = len(topology.replicas[service])
            if len(members) < 2 or len(members) < w.majority * replicas:
                continue
            alone = replicas / (replicas + len(places) - len(members))
            mean = sum(e.weight for e in members) / len(members)
            score.setdefault(service, []).append((mean * alone * len(members) / replicas, name))


def _fault_evidence(
    score: dict[str, list[tuple[float, str]]],
    evidence: list[Evidence],
    incident: Incident,
    topology: Topology,
    w: Weights,
) -> None:
    """A named fault counts at its service (or host) by the share of the incident that lies above it."""
    for e in evidence:
        if e.kind != "fault":
            continue
        entity = e.service or e.place
        share = _share_above(entity, incident, topology, w)
        score.setdefault(entity, []).append((e.weight * (0.5 + share), e.name))
        if e.place != entity:
            score.setdefault(e.place, []).append((0.5 * e.weight * (0.5 + share), e.name))


def _share_above(entity: str, incident: Incident, topology: Topology, w: Weights) -> float:
    """Share of the incident's entities that depend on this one, near ones counting more."""
    is_host = entity in topology.on_host and entity not in topology.services
    reach = topology.above_host(entity) if is_host else topology.above(entity)
    explained = sum(w.closeness ** reach[e] for e in incident.entities if e in reach)
    return explained / max(1, len(incident.entities))


def _host_evidence(score: dict[str, list[tuple[float, str]]], incident: Incident, w: Weights) -> None:
    """Two services gone from one host speak for the host, whether or not it said anything itself."""
    for host in incident.gone_on:
        if host in incident.anchors or len(incident.gone_on) == 1 < len(incident.anchors):
            score.setdefault(host, []).append(
                (w.fault * min(1.0, len(incident.anchors) / 2), "services gone from it together")
            )


def _coverage_evidence(
    score: dict[str, list[tuple[float, str]]], evidence: list[Evidence], topology: Topology, w: Weights
) -> None:
    """Only harm was seen: a member counts by the share of the harm that lies above it."""
    harmed = sorted({e.service for e in evidence if e.service is not None})
    for service in harmed:
        above = topology.above(service)
        share = sum(w.closeness ** above[other] for other in harmed if other in above) / len(harmed)
        label = "harm above it" if len(harmed) > 1 else next(e.name for e in evidence if e.service == service)
        score.setdefault(service, []).append((share, label))


def _ordered(score: dict[str, list[tuple[float, str]]], limit: int, w: Weights) -> list[Candidate]:
    totals: list[tuple[float, str, list[tuple[float, str]]]] = []
    for entity, parts in score.items():
        parts.sort(key=lambda part: (-part[0], part[1]))
        total = sum(part[0] * w.next_best**i for i, part in enumerate(parts))
        totals.append((total, entity, parts))
    totals.sort(key=lambda item: (-item[0], item[1]))
    whole = sum(total for total, _, _ in totals) or 1.0
    return [_candidate(entity, total / whole, parts) for total, entity, parts in totals[:limit]]


def _candidate(entity: str, share: float, parts: list[tuple[float, str]]) -> Candidate:
    names = ", ".join(name for _, name in parts[:3])
    why = f"{share:.0%} of the evidence: {names}" + (f" and {len(parts) - 3} more" if len(parts) > 3 else "")
    return Candidate(entity, round(share, 4), why, tuple((name, round(weight, 4)) for weight, name in parts[:5]))


__all__ = ["Candidate", "History", "Weights", "rank", "symptoms"]
