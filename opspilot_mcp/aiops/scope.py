"""All open incidents of one cluster and environment, and the indexes that lead from an alert to the few it may join.

Nothing here decides. An index may name an incident too many, never one too few, and is rebuilt from the incidents.
"""

from collections.abc import Collection, Iterable

from opspilot_mcp.aiops.incident_state import Incident, Member, Reason, oldest_first
from opspilot_mcp.aiops.scoring import Params
from opspilot_mcp.aiops.signals import PRINT_SEPARATOR, Signal, is_shared
from opspilot_mcp.aiops.topology import Topology

LATEST = 8  # incidents in which a burst may be going on


class Scope:
    """Open incidents by key, and who stands where. Keys, not incidents, in the indexes: a merge changes few of them."""

    def __init__(self, cluster: str, env: str, topology: Topology, touched: dict[str, None]) -> None:
        """`touched` takes the keys of the incidents that change; the engine's scopes share one."""
        self._topology = topology
        self.touched = touched
        self.cluster = cluster
        self.env = env
        self.open: dict[str, Incident] = {}
        self.by_print: dict[str, str] = {}
        self.by_words: dict[int, str] = {}
        self.by_lone: dict[tuple[str, str], str] = {}
        self._at: dict[str, dict[str, None]] = {}  # entity, host, change or shared cause -> keys
        self._faulty: dict[str, dict[str, None]] = {}  # entity with a fault -> keys
        self._reached: dict[str, dict[str, None]] = {}  # service -> the entities with a fault that can reach it
        self._causeless: dict[str, None] = {}  # keys of incidents without a fault
        self._latest: dict[str, None] = {}  # keys by last use, the newest last

    def add(self, incident: Incident, s: Signal, reason: Reason, also: tuple[str, ...], seq: int) -> None:
        """Put the alert into the incident and keep the indexes true."""
        incident.add(s, reason, also, seq)
        key = incident.key
        self.touched[key] = None
        self.by_print[s.fingerprint] = key
        self.by_words[s.text] = self.by_words[s.said] = key
        if s.entity in incident.entities:
            self._stand(key, s.entity)
        if s.host is not None and s.host in incident.hosts:
            self._stand(key, s.host)
        if s.change is not None and s.change in incident.changes:
            self._stand(key, s.change)
        if s.entity in incident.anchors:
            self._blame(key, s.entity)
            if s.name in incident.causes:
                self._stand(key, s.name)
        if incident.anchors:
            self._causeless.pop(key, None)
        else:
            self._causeless[key] = None
        self._latest.pop(key, None)
        self._latest[key] = None
        if len(self._latest) > LATEST:
            del self._latest[next(iter(self._latest))]

    def _stand(self, key: str, name: str) -> None:
        at = self._at.get(name)
        if at is None:
            self._at[name] = {key: None}
        else:
            at[key] = None

    def _blame(self, key: str, place: str) -> None:
        at = self._faulty.get(place)
        if at is None:
            self._faulty[place] = {key: None}
            for service in self._topology.harmed_by(place):
                self._reached.setdefault(service, {})[place] = None
        else:
            at[key] = None

    def near(self, s: Signal, topology: Topology, p: Params) -> list[Incident]:
        """Return, in no order, every open incident that could explain the alert and still takes what comes then.

        It asks only the indexes of relations that `explain` knows for such an alert: asking all of them had five
        incidents explained for each one that could be joined.
        """
        keys: set[str] = set()
        names: list[str | None] = [s.entity, s.host, s.change]
        if s.kind == "fault":
            names.append(s.name if is_shared(s.name) else None)  # the same cause elsewhere
            keys.update(self._causeless)
        else:
            keys.update(self._under_way(s, p))
            if s.service is not None:
                names += topology.callees.get(s.service, ())
                names += topology.callers.get(s.service, ())
                for place in self._reached.get(s.service, ()):
                    keys.update(self._faulty[place])
        for name in names:
            if name in self._at:
                keys.update(self._at[name])
        if s.host in self._faulty:
            keys.update(self._faulty[s.host])
        opened = self.open
        return [i for key in keys if (i := opened.get(key)) is not None and i.takes(s, p.active_ms, p.keep_ms)]

    def _under_way(self, s: Signal, p: Params) -> Iterable[str]:
        """Return the latest incidents that are in a burst; all of the latest for what the map does not know."""
        if not s.known:
            return self._latest
        return [key for key in self._latest if self.open[key].is_crowded(s.ts_ms, p.burst_ms, p.burst_alerts)]

    def causes_around(self, incident: Incident, t: int, window_ms: int) -> int:
        """Return how many other open incidents with a fault of their own opened within `window_ms` of that instant."""
        others = (other for other in self.open.values() if other.anchors and other is not incident)
        return sum(1 for other in others if abs(t - other.opened_ms) <= window_ms)

    def near_harm(self, cause: Incident, s: Signal, topology: Topology, since_ms: int) -> list[Incident]:
        """Return the other incidents with members since then that a fault could explain, oldest first."""
        around: Collection[str] = (
            topology.above(s.entity) if s.service is not None else topology.on_host.get(s.entity, ())
        )
        if len(around) < len(self.open):
            keys = {key for name in {*around, s.entity} & self._at.keys() for key in self._at[name]} & self.open.keys()
        else:
            keys = set(self.open)
        others = (self.open[key] for key in keys if key != cause.key)
        return oldest_first(i for i in others if i.sealed_ms is None and i.last_ms >= since_ms)

    def index(self, incident: Incident) -> None:
        """Lead to every member of an incident that came from a stored state or out of a merge."""
        key = incident.key
        self.open[key] = incident
        for name in (*incident.entities, *incident.hosts, *incident.changes, *incident.causes):
            self._stand(key, name)
        for name in incident.anchors:
            self._blame(key, name)
        if not incident.anchors:
            self._causeless[key] = None
        if incident.lone:
            self._lead_to_lone(incident)

    def _lead_to_lone(self, incident: Incident) -> None:
        for fingerprint in incident.prints:
            entity, _, name = fingerprint.split(PRINT_SEPARATOR)[:3]
            self.by_lone[(entity, name)] = incident.key

    def rebuild(self, incidents: Iterable[Incident]) -> None:
        """Index incidents from stored states; what was received last wins, as it did when it was received."""
        prints: dict[str, tuple[int, str]] = {}
        words: dict[int, tuple[int, str]] = {}
        ordered = oldest_first(incidents)
        for incident in ordered:
            self.index(incident)
            for fingerprint, seen in incident.prints.items():
                prints[fingerprint] = max(prints.get(fingerprint, (-1, "")), (seen.seq, incident.key))
            for word, (_, seq) in incident.words.items():
                words[word] = max(words.get(word, (-1, "")), (seq, incident.key))
        self.by_print = {fingerprint: key for fingerprint, (_, key) in prints.items()}
        self.by_words = {word: key for word, (_, key) in words.items()}
        for incident in sorted(ordered, key=lambda i: (i.latest_seq(), i.key))[-LATEST:]:
            self._latest[incident.key] = None

    def remove(self, incident: Incident) -> None:
        """Forget an incident that closed or was merged away."""
        key = incident.key
        del self.open[key]
        for name in (*incident.entities, *incident.hosts, *incident.changes, *incident.causes):
            self._leave(self._at, name, key)
        for name in incident.anchors:
            self._forgive(key, name)
        self._causeless.pop(key, None)
        self._latest.pop(key, None)
        for fingerprint in incident.prints:
            if self.by_print.get(fingerprint) == key:
                del self.by_print[fingerprint]
        for word in incident.words:
            if self.by_words.get(word) == key:
                del self.by_words[word]
        self.by_lone = {k: v for k, v in self.by_lone.items() if v != key} if incident.lone else self.by_lone

    def _forgive(self, key: str, place: str) -> None:
        if place not in self._faulty:
            return
        self._leave(self._faulty, place, key)
        if place not in self._faulty:
            for service in self._topology.harmed_by(place):
                self._leave(self._reached, service, place)

    @staticmethod
    def _leave(index: dict[str, dict[str, None]], name: str, key: str) -> None:
        holders = index.get(name)
        if holders is not None:
            holders.pop(key, None)
            if not holders:
                del index[name]

    def merge(self, survivor: Incident, loser: Incident) -> None:
        """Fold `loser` into `survivor` and lead everything that led to it there."""
        self.remove(loser)
        survivor.absorb(loser)
        self.touched |= {loser.key: None, survivor.key: None}
        self.index(survivor)
        if survivor.anchors:
            self._causeless.pop(survivor.key, None)
        for fingerprint in loser.prints:
            self.by_print.setdefault(fingerprint, survivor.key)
        for word in loser.words:
            self.by_words.setdefault(word, survivor.key)

    def move(
        self, member: Member, home: Incident, to: Incident, reason: Reason, also: tuple[str, ...], seq: int
    ) -> None:
        """Move a recent member from one incident to another."""
        home.drop(member)
        self.touched[home.key] = None
        entity = member.signal.entity
        if entity not in home.entities:
            self._leave(self._at, entity, home.key)
            self._forgive(home.key, entity)
        self.add(to, member.signal, reason, also, seq)
