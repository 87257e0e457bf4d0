"""The pure correlation engine: alerts in arrival order in, a placement with its reason out.

No clock, no database, no randomness: the same alerts in the same order give the same incidents in any process. All
state sits in the open incidents, each of which exports to one JSON object, so that a database can keep one row an
incident and any process can carry on.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.aiops.rootcause import Candidate, rank
from opspilot_mcp.aiops.topology import Topology

ENGINE_VERSION = 1


class Reason(NamedTuple):
    """Why an alert is where it is. `kind` names the relation; the numbers let a program re-check it."""

    kind: str
    entity: str | None
    hops: int | None
    seconds: float | None
    score: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one alert went. `revised` holds earlier alerts whose placement this alert changed."""

    alert_id: str
    incident_key: str | None
    reason: Reason
    also_explained_by: tuple[str, ...] = ()
    suppressed: bool = False
    opened: bool = False
    merged: tuple[tuple[str, str], ...] = ()  # (loser, survivor)
    revised: tuple["Placement", ...] = ()


@dataclass(frozen=True, slots=True)
class Params:
    """The one parameter set. Times in ms."""

    hold_ms: int = 330_000
    keep_ms: int = 3_600_000


PARAMS = Params()


class View(NamedTuple):
    """What a reader may know of an incident without its members."""

    key: str
    cluster: str
    env: str
    opened_ms: int
    last_ms: int
    alert_count: int
    severity: str
    pages: bool
    title: str
    services: tuple[str, ...]
    candidates: tuple[Candidate, ...]


class Incident:
    """The mutable state of one open incident."""

    def __init__(self, key: str, alert: Alert) -> None:
        self.key = key
        self.scope = (alert.cluster, alert.env)
        self.opened_ms = self.last_ms = alert.ts_ms
        self.count = 0
        self.severity = alert.severity
        self.title = alert.summary
        self.entities: dict[str, list[int]] = {}  # entity -> [first_ms, last_ms, alerts]


class Engine:
    """Correlates one stream. `receive` in arrival order; `states` and `restore` carry it between processes."""

    def __init__(self, topology: Topology, params: Params = PARAMS) -> None:
        self.topology = topology
        self.params = params
        self._open: dict[str, Incident] = {}
        self._dirty: dict[str, None] = {}
        self._closed: dict[str, None] = {}

    def receive(self, alert: Alert) -> Placement:
        """Place one alert; the incident it touches becomes dirty."""
        subject = self.topology.subject(alert)
        best: tuple[int, Incident] | None = None
        for incident in self._open.values():
            if incident.scope != (alert.cluster, alert.env):
                continue
            for entity in (subject.entity, *self.topology.callees.get(subject.entity, ())):
                seen = incident.entities.get(entity)
                if seen and alert.ts_ms - seen[1] <= self.params.hold_ms and (best is None or seen[1] > best[0]):
                    best = (seen[1], incident)
        if best is None:
            incident = Incident(incident_key(alert), alert)
            self._open[incident.key] = incident
            reason = Reason(
                "opened", subject.entity, 0, 0.0, None, f"First alert of a new incident at {subject.entity}."
            )
        else:
            incident = best[1]
            seconds = (alert.ts_ms - best[0]) / 1000
            reason = Reason(
                "near", subject.entity, 1, seconds, 0.5, f"{subject.entity} alerted nearby {seconds:.0f} s ago."
            )
        incident.count += 1
        incident.last_ms = max(incident.last_ms, alert.ts_ms)
        seen = incident.entities.setdefault(subject.entity, [alert.ts_ms, alert.ts_ms, 0])
        seen[1], seen[2] = max(seen[1], alert.ts_ms), seen[2] + 1
        self._dirty[incident.key] = None
        return Placement(alert.id, incident.key, reason, opened=best is None)

    def dirty(self) -> tuple[str, ...]:
        """Return the keys of incidents changed since `clean`; a key that `state` does not know has closed or merged."""
        return tuple(self._dirty)

    def clean(self) -> None:
        """Forget which incidents changed: their states are stored."""
        self._dirty.clear()

    def keys(self) -> tuple[str, ...]:
        """Return the keys of all open incidents, oldest first."""
        return tuple(self._open)

    def state(self, key: str) -> dict[str, Any] | None:
        """Return an open incident as one JSON object; None when it is no longer open (closed or merged away)."""
        incident = self._open.get(key)
        return None if incident is None else dict(vars(incident), scope=list(incident.scope))

    @classmethod
    def restore(cls, topology: Topology, states: Iterable[dict[str, Any]], params: Params = PARAMS) -> "Engine":
        """Build an engine that carries on from the states of all open incidents, given in any order."""
        engine = cls(topology, params)
        for state in sorted(states, key=lambda s: (s["opened_ms"], s["key"])):
            incident = Incident.__new__(Incident)
            vars(incident).update(state, scope=tuple(state["scope"]))
            engine._open[incident.key] = incident
        return engine

    def view(self, key: str) -> View | None:
        """Return what a reader may know of an open incident."""
        i = self._open.get(key)
        if i is None:
            return None
        candidates = tuple(rank({e: seen[2] for e, seen in i.entities.items()}))
        return View(
            key, i.scope[0], i.scope[1], i.opened_ms, i.last_ms, i.count, i.severity, i.severity != "info",
            i.title, tuple(sorted(i.entities)), candidates,
        )  # fmt: skip


def incident_key(alert: Alert) -> str:
    """Return the key of the incident this alert opens: the same in every process and every run."""
    return "i-" + hashlib.sha256(f"{alert.cluster}\0{alert.env}\0{alert.id}".encode()).hexdigest()[:16]
