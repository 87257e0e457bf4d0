"""The pure correlation engine: alerts in arrival order in, a placement with its reason out.

No clock, no database, no randomness: the same alerts in the same order give the same incidents in any process. All
state sits in the open incidents, each of which exports to one JSON object, so that a database can keep one row an
incident and any process can carry on.

An alert goes through five questions. Is it told again, or in another monitor's words? Which open incidents explain it,
and how well? Does it tie two young incidents together? Does it name a cause that explains earlier alerts better than
what they were put to? Is it part of a second wave of an incident that should have calmed down?
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from math import log
from typing import Any, NamedTuple

from opspilot_mcp.aiops import regroup
from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.aiops.early import SWEEP_MS, Early, EarlyResolves, kept_from_ms
from opspilot_mcp.aiops.incident_state import Incident, Reason, oldest_first
from opspilot_mcp.aiops.placement import LISTED, Placement, incident_key
from opspilot_mcp.aiops.reasons import because, reason, suppressed
from opspilot_mcp.aiops.rootcause import Candidate, History, rank, symptoms
from opspilot_mcp.aiops.scope import Scope
from opspilot_mcp.aiops.scoring import PARAMS, Explanation, Params, explain
from opspilot_mcp.aiops.signals import SEVERITY_OF, Signal, is_planned, read
from opspilot_mcp.aiops.topology import Topology

__all__ = ["Candidate", "Engine", "Params", "Placement", "Reason", "View", "incident_key", "view_of"]

ENGINE_VERSION = 3  # of the stored states: one of another version is left behind, and its incident stays as it is
IDS_KEPT = 20_000

Found = list[tuple[Explanation, Incident]]


class View(NamedTuple):
    """What a reader may know of an open incident without its members."""

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
    symptoms: tuple[tuple[str, str, int], ...]  # (place, alert name, alerts)


class Engine:
    """Correlates one stream. `receive` in arrival order; `state` and `restore` carry it between processes."""

    def __init__(
        self, topology: Topology, params: Params = PARAMS, *, on_close: Callable[[Incident], None] | None = None
    ) -> None:
        """`on_close` is given each incident that times out, just before it is gone: nothing joins it any more."""
        self.topology = topology
        self._on_close = on_close
        self.params = params
        self._scopes: dict[tuple[str, str], Scope] = {}
        self._home: dict[str, Scope] = {}  # key of an open incident -> its scope
        self._dirty: dict[str, None] = {}
        # Latest alert ids -> where they went. A plain dict looks past every id it has dropped for its oldest.
        self._ids: OrderedDict[str, str | None] = OrderedDict()
        self._early = EarlyResolves()
        self._seq = 0
        self._swept = 0  # the ten minutes of arrival in which old incidents were closed last

    # ---- one alert

    def receive(self, alert: Alert) -> Placement:
        """Place one alert; incidents it touches become dirty. An id that was received lately changes nothing."""
        if alert.id in self._ids:
            return self._duplicate(alert)
        self._seq += 1
        s = read(alert, self.topology)
        scope = self._scope(alert.cluster, alert.env)
        if s.arr_ms // SWEEP_MS != self._swept:
            self._sweep(s.arr_ms)
        placed = self._place(scope, s)
        if s.firing and not placed.suppressed:
            placed = self._with_its_end(scope, s, placed)
        self._ids[alert.id] = placed.incident_key
        if len(self._ids) > IDS_KEPT:
            self._ids.popitem(last=False)
        for loser, _ in placed.merged:
            self._home.pop(loser, None)
        return placed

    def _duplicate(self, alert: Alert) -> Placement:
        key = self._ids[alert.id]
        text = "This id was received before: nothing changed."
        return Placement(alert.id, key, Reason("duplicate", None, None, None, None, text), suppressed=key is None)

    def _scope(self, cluster: str, env: str) -> Scope:
        scope = self._scopes.get((cluster, env))
        if scope is None:
            scope = self._scopes[(cluster, env)] = Scope(cluster, env, self.topology, self._dirty)
        return scope

    def _place(self, scope: Scope, s: Signal) -> Placement:
        work = self.topology.in_maintenance(s.host, s.ts_ms)
        if work and (s.service is None or s.kind == "routine" or is_planned(s.name)):
            return Placement(s.alert_id, None, suppressed("maintenance", s.host), suppressed=True)
        again = self._told_again(scope, s)
        if again is not None:
            return again
        if not s.firing:
            self._early.keep(Early(scope.cluster, scope.env, s))
            return Placement(s.alert_id, None, suppressed("nothing_to_resolve", s.entity), suppressed=True)
        found = self._explanations(scope, s)
        p = self.params
        joins = bool(found) and found[0][0].score >= self._bar(scope, s, *found[0])
        if s.rank == 0 and not (joins and found[0][1].crowd_at(s.ts_ms, p.crowd_ms) >= p.crowd_alerts):
            return Placement(s.alert_id, None, suppressed("informational", s.entity), suppressed=True)
        if joins:
            return self._join_best(scope, s, found)
        if work and s.kind != "fault":
            return Placement(s.alert_id, None, suppressed("maintenance", s.host), suppressed=True)
        doubtful = s.kind != "fault" and bool(found) and found[0][0].score >= p.join and found[0][1].pages()
        return self._reworded(scope, s) or self._open(scope, s, self._runners_up(found), doubtful=doubtful)

    def _with_its_end(self, scope: Scope, s: Signal, placed: Placement) -> Placement:
        """Let the resolves that came before this alert, which they end, follow it into its incident."""
        revised = []
        for end in self._early.take(scope.cluster, scope.env, s):
            why = reason("repeat", end, end.entity, 0, end.ts_ms - s.ts_ms, 1.0)
            scope.add(scope.open[placed.incident_key or ""], end, why, placed.also_explained_by, self._seq)
            revised.append(Placement(end.alert_id, placed.incident_key, why, placed.also_explained_by))
        return placed._replace(revised=(*placed.revised, *revised)) if revised else placed

    def _bar(self, scope: Scope, s: Signal, e: Explanation, incident: Incident) -> float:
        """What an explanation must reach before the alert joins. Where several causes are at work on a small map, one
        more is likelier than elsewhere, and what one of them explains badly is a cause of its own."""
        p = self.params
        bar, in_storm = p.join, p.join_storm
        if s.kind == "fault":
            is_late_cause = e.kind in ("cause_of", "host_of") and e.lag_ms > p.lead_storm_ms
            bar, in_storm = p.join_fault, 1.0 if is_late_cause else p.join_fault
        if not bar <= e.score < in_storm:
            return bar
        thick = max(1.0, p.storm_share * len(self.topology.services))
        return in_storm if scope.causes_around(incident, s.ts_ms, p.storm_ms) >= thick else bar

    def _explanations(self, scope: Scope, s: Signal) -> Found:
        """Every open incident that explains the alert at all, best first; equals go to the younger incident. Of two
        that explain harm over several calls, the one that has spread wider is likelier to have spread here."""
        if s.kind == "routine":
            return []  # only the same alert joins it
        p = self.params
        found: Found = []
        for incident in scope.near(s, self.topology, p):
            e = explain(incident, s, self.topology, p)
            if e.score > 0:
                found.append((e, incident))
        if len(found) > 1:
            found.sort(key=lambda x: (_weighed(x[0], x[1], p), -x[1].opened_ms, x[1].key))
        return found

    def _runners_up(self, found: Found) -> tuple[str, ...]:
        return tuple(incident.key for e, incident in found if e.score >= self.params.also)[:LISTED]

    # ---- the same alert again

    def _told_again(self, scope: Scope, s: Signal) -> Placement | None:
        again = self._repeat(scope, s)
        if again is None and s.kind == "routine":
            again = self._recurrence(scope, s)
        if again is None and s.quotes is not None:
            again = self._quotation(scope, s, s.quotes)
        return again

    def _alive(self, scope: Scope, key: str | None, s: Signal) -> Incident | None:
        incident = scope.open.get(key) if key is not None else None
        return incident if incident is not None and s.arr_ms - incident.arr_ms <= self.params.keep_ms else None

    def _repeat(self, scope: Scope, s: Signal) -> Placement | None:
        """A resolve of a known alert, or the same words within the repeat window."""
        key = scope.by_words.get(s.text)
        incident = self._alive(scope, key if key is not None else scope.by_print.get(s.fingerprint), s)
        seen = incident.prints.get(s.fingerprint) if incident is not None else None
        if incident is None or seen is None or (s.firing and s.change and s.change not in incident.changes):
            return None  # another change is another cause, in whatever words
        gap = s.ts_ms - seen.last_ms
        if s.firing and (not incident.spans(s.ts_ms) or abs(gap) > self.params.repeat_ms):
            return None
        if s.firing and s.text not in incident.words:
            return None  # the same rule in other words may have another cause: see `_reworded`
        return self._join(scope, incident, s, reason("repeat", s, s.entity, 0, gap, 1.0), seen.also)

    def _reworded(self, scope: Scope, s: Signal) -> Placement | None:
        """The same rule at the same place in other words, when nothing else explains it: an updated value at once, a
        reminder after minutes. What fires anew in between, unresolved, is more likely another cause."""
        p = self.params
        incident = self._alive(scope, scope.by_print.get(s.fingerprint), s)
        seen = incident.prints.get(s.fingerprint) if incident is not None and incident.spans(s.ts_ms) else None
        if incident is None or seen is None or (s.change and s.change not in incident.changes):
            return None
        gap = s.ts_ms - seen.last_ms
        if abs(gap) > p.latch_ms and not p.remind_ms <= gap <= p.repeat_ms:
            return None
        return self._join(scope, incident, s, reason("repeat", s, s.entity, 0, gap, 0.6), ())

    def _recurrence(self, scope: Scope, s: Signal) -> Placement | None:
        """The same alert that states nothing, alone again."""
        incident = self._alive(scope, scope.by_lone.get((s.entity, s.name)), s)
        if incident is None:
            return None
        lag = s.ts_ms - incident.last_ms
        return self._join(scope, incident, s, reason("recurs", s, s.entity, 0, lag, 0.9), ())

    def _quotation(self, scope: Scope, s: Signal, words: int) -> Placement | None:
        """Another monitor that repeats the words of an alert."""
        incident = self._alive(scope, scope.by_words.get(words), s)
        if incident is None or words not in incident.words:
            return None
        lag = s.ts_ms - incident.words[words][0]
        if abs(lag) > self.params.repeat_ms:
            return None
        quoted = (m.also for m in reversed(incident.recent) if m.signal.said == words)
        return self._join(scope, incident, s, reason("quotes", s, s.entity, 0, lag, 0.98), next(quoted, ()))

    # ---- join or open

    def _join(self, scope: Scope, incident: Incident, s: Signal, why: Reason, also: tuple[str, ...]) -> Placement:
        seen = incident.prints.get(s.fingerprint)
        gap = s.ts_ms - seen.last_ms if seen is not None and seen.firing and s.firing else 0
        scope.add(incident, s, why, also, self._seq)
        placed = Placement(s.alert_id, incident.key, why, also)
        if gap >= self.params.latch_ms:
            placed = regroup.second_wave(scope, incident, s, gap, placed, self.params, self._seq)
        else:
            placed = regroup.new_onset(scope, incident, s, placed, self.params, self._seq)
        if placed.opened:
            self._home[placed.incident_key or ""] = scope
        return placed

    def _join_best(self, scope: Scope, s: Signal, found: Found) -> Placement:
        e, incident = found[0]
        merged = regroup.tie(scope, s, found, self.topology, self.params)
        into = dict(merged)
        incident = scope.open[regroup.end_of(incident.key, into)]
        also: tuple[str, ...] = ()
        if len(found) > 1:
            ends = dict.fromkeys(regroup.end_of(key, into) for key in self._runners_up(found[1:]))
            also = tuple(key for key in ends if key != incident.key)
        was_causeless = not incident.anchors
        placed = self._join(scope, incident, s, because(e, s), also)
        if s.kind == "fault" and was_causeless and not placed.opened:
            revised = regroup.reconsider(scope, incident, s, self.topology, self.params, self._seq)
            placed = placed._replace(revised=placed.revised + revised)
        return placed._replace(merged=merged) if merged else placed

    def _open(self, scope: Scope, s: Signal, also: tuple[str, ...], *, doubtful: bool) -> Placement:
        incident = Incident(incident_key(scope.cluster, scope.env, s.alert_id), scope.cluster, scope.env, s.ts_ms)
        incident.doubtful = doubtful
        scope.open[incident.key] = incident
        self._home[incident.key] = scope
        if s.kind == "routine":
            incident.lone = True
            scope.by_lone[(s.entity, s.name)] = incident.key
        why = reason("opened", s, s.entity, 0, 0, None)
        placed = self._join(scope, incident, s, why, also)._replace(opened=True)
        if s.kind != "fault":
            return placed
        revised = regroup.reconsider(scope, incident, s, self.topology, self.params, self._seq)
        return placed._replace(revised=revised)

    # ---- what a person decides

    def merge(self, loser: str, survivor: str) -> bool:
        """Fold one open incident into another of the same scope; False when either is not open there."""
        scope = self._home.get(loser)
        if scope is None or scope is not self._home.get(survivor) or loser == survivor:
            return False
        scope.merge(scope.open[survivor], scope.open[loser])
        del self._home[loser]
        return True

    def split(self, key: str, entities: Iterable[str], new_key: str) -> bool:
        """Move an open incident's entities to a new one that the engine never merges with it again."""
        scope = self._home.get(key)
        chosen = set(entities)
        if scope is None or new_key in self._home or not chosen & scope.open[key].entities.keys():
            return False
        other = regroup.split(scope, scope.open[key], chosen, new_key)
        self._home[other.key] = scope
        self._dirty |= {key: None, new_key: None}
        return True

    def close(self, key: str) -> bool:
        """Let nothing join an incident any more, as when a person resolved it for good; False when it is not open."""
        scope = self._home.pop(key, None)
        if scope is None:
            return False
        scope.remove(scope.open[key])
        self._dirty[key] = None
        return True

    def _sweep(self, now_ms: int) -> None:
        """Close what has timed out. When this runs changes nothing: a timed-out incident takes no alert anyway."""
        self._swept = now_ms // SWEEP_MS
        self._early.forget_before(kept_from_ms(self._swept))
        held = (i for scope in self._scopes.values() for i in scope.open.values())
        for incident in oldest_first(i for i in held if now_ms - i.arr_ms > self.params.keep_ms):
            if self._on_close is not None:
                self._on_close(incident)
            self.close(incident.key)

    # ---- what a database keeps

    @property
    def swept(self) -> int:
        """When old incidents were closed last; kept beside the states."""
        return self._swept

    def early(self) -> list[Early]:
        """Return the resolves that wait for their alert. No row of their own keeps them: see `early.py`."""
        return self._early.listed()

    def dirty(self) -> tuple[str, ...]:
        """Return the keys changed since `clean`; one that `state` does not know has closed or was merged away."""
        return tuple(self._dirty)

    def is_dirty(self, key: str) -> bool:
        """Whether an incident changed since `clean`."""
        return key in self._dirty

    def clean(self) -> None:
        """Forget which incidents changed: their states are stored."""
        self._dirty.clear()

    def keys(self) -> tuple[str, ...]:
        """Return the keys of all open incidents, oldest first."""
        return tuple(i.key for i in self.open_incidents())

    def open_incidents(self) -> list[Incident]:
        """Return all open incidents, oldest first. They are the engine's own: read, do not change."""
        return oldest_first(scope.open[key] for key, scope in self._home.items())

    def state(self, key: str) -> dict[str, Any] | None:
        """Return an open incident as one JSON object; None when it is no longer open (closed or merged away)."""
        scope = self._home.get(key)
        return None if scope is None else {"version": ENGINE_VERSION, **scope.open[key].export()}

    @classmethod
    def restore(
        cls,
        topology: Topology,
        states: Iterable[dict[str, Any]],
        params: Params = PARAMS,
        *,
        swept: int = 0,
        early: Iterable[Early] = (),
        on_close: Callable[[Incident], None] | None = None,
    ) -> "Engine":
        """Build an engine that carries on from the states of all open incidents, given in any order.

        `swept` is what the engine that stored them had: then incidents close in the same instant. `early` are the
        resolves that waited for their alert there, in order of arrival.
        """
        engine = cls(topology, params, on_close=on_close)
        engine._swept = swept
        for one in early:
            engine._early.keep(one)
        by_scope: dict[tuple[str, str], list[Incident]] = {}
        for state in states:
            if state.get("version") != ENGINE_VERSION:
                continue
            incident = Incident.load(state)
            by_scope.setdefault((incident.cluster, incident.env), []).append(incident)
            engine._seq = max(engine._seq, incident.latest_seq())
        for (cluster, env), incidents in sorted(by_scope.items()):
            scope = engine._scope(cluster, env)
            scope.rebuild(incidents)
            engine._home.update(dict.fromkeys(scope.open, scope))
        return engine

    # ---- what a reader sees

    def view(self, key: str, history: History | None = None) -> View | None:
        """Return what a reader may know of an open incident; `history` sharpens the root candidates."""
        scope = self._home.get(key)
        return None if scope is None else view_of(scope.open[key], self.topology, history)


def _weighed(e: Explanation, incident: Incident, p: Params) -> float:
    """Sorts explanations, the best one first: the score, weighed by how wide the incident has spread."""
    return -e.score * (1 + p.spread * log(len(incident.entities))) if e.hops and e.hops >= 2 else -e.score


def view_of(i: Incident, topology: Topology, history: History | None = None) -> View:
    """Return what a reader may know of an incident, open or just closed."""
    candidates = tuple(rank(i, topology, history))
    shown = tuple(symptoms(i))
    services = tuple(sorted(e for e in i.entities if e in topology.services or e in i.unmapped))
    return View(
        i.key, i.cluster, i.env, i.opened_ms, i.last_ms, i.count, SEVERITY_OF[i.rank], i.pages(),
        _title(i, candidates, shown), services, candidates, shown,
    )  # fmt: skip


def _title(i: Incident, candidates: tuple[Candidate, ...], shown: tuple[tuple[str, str, int], ...]) -> str:
    """The strongest alert of the leading root, at that root; else the gravest alert of the incident."""
    if not candidates:
        return i.title
    names = {name for _, name, _ in shown}
    told = next((name for name, _ in candidates[0].terms if name in names), i.title)
    return f"{told} at {candidates[0].entity}"
