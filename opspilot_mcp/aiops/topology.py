"""The map of the estate: who calls whom, which instance belongs to which service, and on which host it runs.

A topology never changes once built; a new import builds a new one, which is how its cached closures are invalidated.
Names that an alert spells differently (`-svc`, `-service`, `_`) are resolved here and nowhere else.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.clock import parse_ms
from opspilot_mcp.errors import InvalidInput, quoted

MAX_NAMES = 200_000
MAX_NAME_CHARS = 512
CLOSURE_HOPS = 6  # storms fade after four hops; two more bridge an edge the map lacks
CACHE_LIMIT = 50_000
TEXT_SCANNED = 2_000

_SUFFIX = re.compile(r"[-.]?(?:svc|service)$")
_WORD = re.compile(r"[\w@:/.\-]+")


class Window(NamedTuple):
    """Planned work on one host, in UTC ms, both ends included."""

    host: str
    start_ms: int
    end_ms: int


class Subject(NamedTuple):
    """What an alert is about. `entity` is the service it belongs to, else the host, else the name as written."""

    entity: str
    service: str | None
    instance: str | None
    host: str | None
    known: bool  # the entity stands in the topology


def plain(name: str) -> str:
    """Return the spelling under which `orders_service`, `orders-svc` and `Orders` are one name."""
    lowered = name.strip().lower().replace("_", "-")
    return _SUFFIX.sub("", lowered).strip("-.") or lowered


class Topology:
    """Services, calls, instances and hosts with sorted adjacency. Built by `from_json`; read-only afterwards."""

    def __init__(
        self,
        services: Iterable[str],
        calls: Iterable[tuple[str, str]],
        instances: Mapping[str, str],
        hosts: Mapping[str, str],
        maintenance: Iterable[Window] = (),
    ) -> None:
        edges = sorted({(a, b) for a, b in calls if a != b})
        self.services = frozenset(services) | {name for edge in edges for name in edge} | set(instances.values())
        self.instances = dict(sorted(instances.items()))
        self.host_of = dict(sorted(hosts.items()))
        self.hosts = frozenset(self.host_of.values())
        self.callees = _adjacency(edges)
        self.callers = _adjacency((b, a) for a, b in edges)
        self.on_host = _adjacency((h, self.instances.get(i, i)) for i, h in self.host_of.items())
        self._runs_on = _adjacency((self.instances.get(i, i), h) for i, h in self.host_of.items())
        self.replicas = _adjacency((s, i) for i, s in self.instances.items())
        self.maintenance = tuple(sorted(maintenance))
        self._named = {name: name for name in self.services} | self.instances  # a word -> the service it names
        self._parts = _parts([*edges, *((self.instances.get(i, i), h) for i, h in self.host_of.items())])
        self._is_split = len(set(self._parts.values())) > 1
        self._alias = _aliases(self.services)
        self._subjects: dict[tuple[str | None, str | None, str | None, str | None], Subject] = {}
        self._mentions: dict[tuple[str, str | None], tuple[str, ...]] = {}
        self._down: dict[str, dict[str, int]] = {}
        self._up: dict[str, dict[str, int]] = {}
        self._hosts_below: dict[str, dict[str, int]] = {}
        self._harmed: dict[str, dict[str, int]] = {}
        self._above_host: dict[str, dict[str, int]] = {}

    @classmethod
    def from_json(cls, obj: object) -> "Topology":
        """Build from the JSON form: services, calls, instances, hosts, maintenance; all but one may be missing.

        Cycles and self-calls are taken as they are; a call to a service that is not listed adds it. Raises
        InvalidInput, naming the field, for anything of another shape.
        """
        if not isinstance(obj, dict):
            raise InvalidInput("The topology is not a JSON object. Give services, calls, instances and hosts.")
        instances = _name_map(obj, "instances")
        hosts = _name_map(obj, "hosts")
        services = [_name(s, "services") for s in _list(obj, "services")]
        calls = [_edge(e) for e in _list(obj, "calls")]
        if len(services) + len(calls) + len(instances) + len(hosts) > MAX_NAMES:
            raise InvalidInput(f"The topology has more than {MAX_NAMES} entries. Split it by cluster.")
        return cls(services, calls, instances, hosts, [_window(w) for w in _list(obj, "maintenance")])

    def resolve_service(self, name: str) -> str | None:
        """Return the service known under `name` or a variant spelling of it; None when no service is meant."""
        return name if name in self.services else self._alias.get(plain(name))

    def subject(self, alert: Alert) -> Subject:
        """Return what the alert is about: by service label, then instance, then host, then a name in its text."""
        text = alert.summary if not (alert.service or alert.instance or alert.host) else None
        key = (alert.service, alert.instance, alert.host, text)
        found = self._subjects.get(key)
        if found is None:
            found = self._resolve(alert.service, alert.instance, alert.host, text)
            if len(self._subjects) >= CACHE_LIMIT:
                self._subjects.clear()
            self._subjects[key] = found
        return found

    def _resolve(self, service: str | None, instance: str | None, host: str | None, text: str | None) -> Subject:
        known = self.resolve_service(service) if service else None
        if known is None and instance:
            known = self.instances.get(instance) or _parent(instance, self)
        place = host or (self.host_of.get(instance) if instance else None)
        if known:
            return Subject(known, known, instance, place, True)
        if host and not service and not instance:
            return Subject(host, None, None, host, host in self.hosts)
        if text:
            return self._from_text(text)
        name = service or instance or place or "unknown"
        return Subject(name, service, instance, place, name in self.hosts)

    def mentions(self, text: str, but: str | None) -> tuple[str, ...]:
        """Return the services a text names besides `but`, in order, each once; an instance names its service."""
        known = self._mentions.get((text, but))
        if known is None:
            words = [word.strip(".:/-") for word in _WORD.findall(text[:TEXT_SCANNED])]
            named = dict.fromkeys(map(self._named.get, words))
            known = tuple(name for name in named if name is not None and name != but)
            if len(self._mentions) >= CACHE_LIMIT:
                self._mentions.clear()
            self._mentions[(text, but)] = known
        return known

    def _from_text(self, text: str) -> Subject:
        for word in _WORD.findall(text[:TEXT_SCANNED]):
            word = word.strip(".:/-")
            if word in self.services or word in self.instances:
                service = self.instances.get(word, word)
                instance = word if word in self.instances else None
                return Subject(service, service, instance, self.host_of.get(word), True)
            if word in self.hosts:
                return Subject(word, None, None, word, True)
        return Subject("unknown", None, None, None, False)

    def below(self, service: str) -> dict[str, int]:
        """Return every service that `service` depends on with its distance in calls, nearest first."""
        found = self._down.get(service)
        if found is None:
            found = self._down[service] = _closure(service, self.callees)
        return found

    def above(self, service: str) -> dict[str, int]:
        """Return every service that depends on `service` with its distance in calls, nearest first."""
        found = self._up.get(service)
        if found is None:
            found = self._up[service] = _closure(service, self.callers)
        return found

    def hosts_below(self, service: str) -> dict[str, int]:
        """Return every host `service` depends on: the calls to its nearest service there, and one onto the host."""
        found = self._hosts_below.get(service)
        if found is None:
            found = self._hosts_below[service] = {}
            for name, hops in self.below(service).items():  # nearest first
                for host in self._runs_on.get(name, ()):
                    found.setdefault(host, hops + 1)
        return found

    def above_host(self, host: str) -> dict[str, int]:
        """Return every service that depends on one `host` carries, with its least distance in calls from there."""
        found = self._above_host.get(host)
        if found is None:
            found = self._above_host[host] = {}
            for carried in self.on_host.get(host, ()):
                for name, hops in self.above(carried).items():
                    found[name] = min(hops, found.get(name, hops))
        return found

    def harmed_by(self, place: str) -> dict[str, int]:
        """Return every service a fault at that service or host can reach, with its distance: one more for a host.

        The same distances as `below` and `hosts_below` give; looked up from the few places with a fault, not from the
        many that suffer, so that few closures are built. A name that is a service and a host is the service first.
        """
        found = self._harmed.get(place)
        if found is None:
            on_it = {name: hops + 1 for name, hops in self.above_host(place).items()}
            found = self._harmed[place] = {**on_it, **self.above(place)}
        return found

    def are_apart(self, some: Iterable[str], others: Iterable[str]) -> bool:
        """Whether no path of calls and hosts leads from one of these names to one of those, whatever its direction.

        What the map does not know, or knows without a call or a host, tells nothing: where only that is left, they may
        touch.
        """
        if not self._is_split:
            return False
        mine, theirs = self._parts_of(some), self._parts_of(others)
        return bool(mine) and bool(theirs) and mine.isdisjoint(theirs)

    def _parts_of(self, names: Iterable[str]) -> set[str]:
        return {part for name in names if (part := self._parts.get(name)) is not None}

    def in_maintenance(self, host: str | None, ts_ms: int) -> bool:
        """Whether planned work covers `host` at that instant."""
        if host is None or not self.maintenance:
            return False
        return any(w.host == host and w.start_ms <= ts_ms <= w.end_ms for w in self.maintenance)


def _adjacency(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for a, b in pairs:
        found[a].add(b)
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def _parts(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Name each connected part of a graph after its first node: node -> that name."""
    around: defaultdict[str, set[str]] = defaultdict(set)
    for a, b in pairs:
        around[a].add(b)
        around[b].add(a)
    found: dict[str, str] = {}
    for start in sorted(around):
        waiting = [start] if start not in found else []
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = start
                waiting += around[name]
    return found


def _aliases(services: Iterable[str]) -> dict[str, str]:
    """Map each plain spelling to its service; a spelling that fits two services means neither."""
    found: dict[str, str | None] = {}
    for service in sorted(services):
        key = plain(service)
        found[key] = service if key not in found else None
    return {key: service for key, service in found.items() if service is not None}


def _closure(start: str, adjacency: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    hops = {start: 0}
    frontier = [start]
    for hop in range(1, CLOSURE_HOPS + 1):
        frontier = [n for n in dict.fromkeys(x for f in frontier for x in adjacency.get(f, ())) if n not in hops]
        hops.update(dict.fromkeys(frontier, hop))
    return hops


def _parent(instance: str, topology: Topology) -> str | None:
    """Return the service a pod name belongs to: `orders-7c9f-xk2p` and `orders-2` are pods of `orders`."""
    name = instance
    while "-" in name:
        name = name.rpartition("-")[0]
        service = topology.resolve_service(name)
        if service:
            return service
    return None


def _list(obj: dict[str, object], field: str) -> list[object]:
    value = obj.get(field)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidInput(f"The topology's {field!r} is not a list. Write it as a JSON array.")
    return value


def _name(value: object, field: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME_CHARS:
        raise InvalidInput(
            f"The topology's {field!r} holds {quoted(value)}. Write a name of 1-{MAX_NAME_CHARS} letters."
        )
    return value


def _edge(value: object) -> tuple[str, str]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise InvalidInput(f"The topology's 'calls' holds {quoted(value)}. Write pairs [caller, callee].")
    return _name(value[0], "calls"), _name(value[1], "calls")


def _name_map(obj: dict[str, object], field: str) -> dict[str, str]:
    value = obj.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(f"The topology's {field!r} is not an object. Map each instance to one name.")
    return {_name(k, field): _name(v, field) for k, v in value.items()}


def _window(value: object) -> Window:
    if not isinstance(value, dict) or not {"host", "start", "end"} <= value.keys():
        raise InvalidInput("A 'maintenance' window of the topology needs host, start and end. Add what is missing.")
    window = Window(_name(value["host"], "maintenance.host"), parse_ms(value["start"]), parse_ms(value["end"]))
    if window.end_ms < window.start_ms:
        raise InvalidInput(f"The maintenance window of {quoted(window.host)} ends before it starts. Swap its ends.")
    return window
