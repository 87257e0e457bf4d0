"""The state of one open incident: all that later alerts are compared with, exported as one JSON object.

Everything is bounded: what an incident forgets first is what it met first.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from typing import Any, NamedTuple

from opspilot_mcp.aiops.signals import PRINT_SEPARATOR, Signal, is_gone, kind_of

MAX_PRINTS = 1_000
MAX_ENTITIES = 1_000
MAX_WORDS = 2_000
MAX_RECENT = 256
MAX_STAMPS = 48
MAX_ABSORBED = 200
RECENT_MS = 150_000  # how long a placement may still be revised


class Reason(NamedTuple):
    """Why an alert is where it is. `kind` names the relation; the numbers let a program re-check it."""

    kind: str
    entity: str | None
    hops: int | None
    seconds: float | None
    score: float | None
    text: str


class Seen:
    """One fingerprint inside an incident. Instants in UTC ms; `seq` orders what was received in the same instant."""

    __slots__ = ("also", "count", "firing", "first_ms", "last_ms", "rank", "seq", "text")

    def __init__(self, s: Signal, seq: int, also: tuple[str, ...]) -> None:
        self.first_ms = self.last_ms = s.ts_ms
        self.count = 1
        self.firing = s.firing
        self.text = s.text
        self.rank = s.rank
        self.seq = seq
        self.also = also

    def again(self, s: Signal, seq: int) -> None:
        if s.ts_ms < self.first_ms:
            self.first_ms = s.ts_ms
        self.count += 1
        self.seq = seq
        if s.rank > self.rank:
            self.rank = s.rank
        if s.ts_ms >= self.last_ms:
            self.last_ms, self.firing, self.text = s.ts_ms, s.firing, s.text

    def export(self) -> list[Any]:
        return [self.first_ms, self.last_ms, self.count, self.firing, self.text, self.rank, self.seq, list(self.also)]

    @classmethod
    def load(cls, row: list[Any]) -> "Seen":
        seen = cls.__new__(cls)
        seen.first_ms, seen.last_ms, seen.count, seen.firing, seen.text, seen.rank, seen.seq = row[:7]
        seen.also = tuple(row[7])
        return seen


class Member(NamedTuple):
    """A recent alert of an incident, kept while its placement may still be revised."""

    signal: Signal
    reason: Reason
    also: tuple[str, ...]


class Refire(NamedTuple):
    """A fingerprint that fired again although nothing had resolved it; `gap_ms` since it fired last."""

    ts_ms: int
    gap_ms: int
    entity: str
    fingerprint: str


_TIMES = ("anchors", "changes", "causes", "gone_on", "hosts")
_PLAIN = (
    "key", "cluster", "env", "opened_ms", "last_ms", "last_novel_ms", "arr_ms", "count", "rank", "sealed_ms",
    "front_ms", "lone", "doubtful", "title", "title_rank", *_TIMES,
)  # fmt: skip


class Incident:
    """One open incident. `last_novel_ms` is when something not yet known joined last; repeats do not move it."""

    __slots__ = (
        "_pace_ms",
        "absorbed",
        "apart",
        "entities",
        "prints",
        "recent",
        "stamps",
        "unmapped",
        "wave",
        "words",
        *_PLAIN,
    )

    def __init__(self, key: str, cluster: str, env: str, ts_ms: int) -> None:
        self.key, self.cluster, self.env = key, cluster, env
        self.opened_ms = self.last_ms = self.last_novel_ms = ts_ms
        self.arr_ms = 0
        self.count = 0
        self.rank = 0  # the gravest severity that fired
        self.title, self.title_rank = "", -1
        self.sealed_ms: int | None = None  # a second onset took over then: nothing from it on joins
        self.front_ms: int | None = None  # it is such a second onset: nothing from before joins
        self.lone = False  # opened by an alert that states nothing: only the same alert joins
        self.doubtful = False  # another incident that pages explains its first alert, though badly
        self.absorbed: list[str] = []  # keys of incidents merged into this one
        self.apart: list[str] = []  # keys a person split from this one: never merged again
        self.entities: dict[str, list[int]] = {}  # entity -> [first ms, last novel ms, alerts]
        self.unmapped: set[str] = set()  # entities that are services by an alert's own word: the map lacks them
        self.anchors: dict[str, int] = {}  # entity with a fault of its own -> first ms
        self.hosts: dict[str, int] = {}  # host a member ran on -> last novel ms
        self.gone_on: dict[str, int] = {}  # host on which something is gone -> last ms
        self.changes: dict[str, int] = {}  # change id -> last ms
        self.causes: dict[str, int] = {}  # fault alert name -> last ms
        self.prints: dict[str, Seen] = {}
        self.words: dict[int, tuple[int, int]] = {}  # hash of an alert's words -> (last ms, seq)
        self.recent: list[Member] = []
        self.stamps: list[int] = []  # event times of the latest alerts, ascending in whatever order they arrived
        self.wave: list[Refire] = []
        self._pace_ms: float | None = 0.0  # of the stamps; None when it is to be measured again

    def add(self, s: Signal, reason: Reason, also: tuple[str, ...], seq: int) -> None:
        """Take an alert in: counts, times, entity, fingerprint, and what later alerts may point at."""
        t = s.ts_ms
        self.count += 1
        # Comparisons, not min() and max(), here and below: ten calls an alert were a third of this function.
        if s.arr_ms > self.arr_ms:
            self.arr_ms = s.arr_ms
        if t < self.opened_ms:
            self.opened_ms = t
        if t > self.last_ms:
            self.last_ms = t
        if s.firing and s.rank > self.rank:
            self.rank = s.rank
        if s.rank > self.title_rank:
            self.title, self.title_rank = s.name, s.rank
        self._take_entity(s, is_novel=s.fingerprint not in self.prints)
        self._take_print(s, also, seq)
        self._remember(s, reason, also, seq)

    def _take_entity(self, s: Signal, *, is_novel: bool) -> None:
        t = s.ts_ms
        seen = self.entities.get(s.entity)
        if seen is None:
            if len(self.entities) >= MAX_ENTITIES:
                return
            seen = self.entities[s.entity] = [t, t, 0]
            if not s.known and s.service == s.entity:
                self.unmapped.add(s.entity)
        seen[2] += 1
        if t < seen[0]:
            seen[0] = t
        if is_novel:
            if t > seen[1]:
                seen[1] = t
            if t > self.last_novel_ms:
                self.last_novel_ms = t
            if s.host and s.host != s.entity:
                self.hosts[s.host] = max(t, self.hosts.get(s.host, 0))
        if s.kind == "fault" and s.rank:
            self._take_fault(s)
        if s.change:
            self.changes[s.change] = max(t, self.changes.get(s.change, t))

    def _take_fault(self, s: Signal) -> None:
        self.anchors[s.entity] = min(s.ts_ms, self.anchors.get(s.entity, s.ts_ms))
        if s.host and s.service is not None and is_gone(s.name):
            self.gone_on[s.host] = max(s.ts_ms, self.gone_on.get(s.host, s.ts_ms))
        if kind_of(s.name) == "fault":
            self.causes[s.name] = max(s.ts_ms, self.causes.get(s.name, s.ts_ms))

    def _take_print(self, s: Signal, also: tuple[str, ...], seq: int) -> None:
        seen = self.prints.get(s.fingerprint)
        if seen is not None:
            seen.again(s, seq)
            return
        if len(self.prints) >= MAX_PRINTS:
            del self.prints[next(iter(self.prints))]
        self.prints[s.fingerprint] = Seen(s, seq, also)

    def _remember(self, s: Signal, reason: Reason, also: tuple[str, ...], seq: int) -> None:
        if len(self.words) >= MAX_WORDS:
            del self.words[next(iter(self.words))]
        self.words[s.text] = self.words[s.said] = (s.ts_ms, seq)
        insort(self.stamps, s.ts_ms)
        if len(self.stamps) > MAX_STAMPS:
            del self.stamps[0]
        self._pace_ms = None
        recent = self.recent
        recent.append(Member(s, reason, also))
        if len(recent) > MAX_RECENT or recent[0].signal.ts_ms < self.last_ms - RECENT_MS:
            del recent[0]

    def drop(self, member: Member) -> None:
        """Let a recent member go to another incident."""
        self.recent.remove(member)
        self.count -= 1
        s = member.signal
        seen = self.prints.get(s.fingerprint)
        if seen is not None:
            seen.count -= 1
            if seen.count <= 0:
                del self.prints[s.fingerprint]
        self.words.pop(s.text, None)
        self.words.pop(s.said, None)
        entity = self.entities.get(s.entity)
        if entity is not None:
            entity[2] -= 1
            if entity[2] <= 0:
                del self.entities[s.entity]
                self.anchors.pop(s.entity, None)

    def absorb(self, other: "Incident") -> None:
        """Take over everything of `other`, which then no longer exists."""
        self.absorbed = [*self.absorbed, other.key, *other.absorbed][-MAX_ABSORBED:]
        self.apart = sorted({*self.apart, *other.apart})[:MAX_ABSORBED]
        self.count += other.count
        self.doubtful = self.doubtful and other.doubtful
        self.opened_ms = min(self.opened_ms, other.opened_ms)
        for name in ("last_ms", "last_novel_ms", "arr_ms", "rank"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))
        if other.title_rank > self.title_rank:
            self.title, self.title_rank = other.title, other.title_rank
        for entity, seen in other.entities.items():
            mine = self.entities.setdefault(entity, [seen[0], seen[1], 0])
            mine[:] = [min(mine[0], seen[0]), max(mine[1], seen[1]), mine[2] + seen[2]]
        self.unmapped |= other.unmapped
        for name, first in other.anchors.items():
            self.anchors[name] = min(first, self.anchors.get(name, first))
        for field in ("hosts", "gone_on", "changes", "causes"):
            mine_at, theirs = getattr(self, field), getattr(other, field)
            mine_at.update({k: max(v, mine_at.get(k, v)) for k, v in theirs.items()})
        self.words.update(other.words)
        for fingerprint, print_ in other.prints.items():
            self.prints.setdefault(fingerprint, print_)
        self._absorb_latest(other)

    def _absorb_latest(self, other: "Incident") -> None:
        members = sorted(self.recent + other.recent, key=lambda m: (m.signal.ts_ms, m.signal.alert_id))
        self.recent = members[-MAX_RECENT:]
        self.stamps = sorted(self.stamps + other.stamps)[-MAX_STAMPS:]
        self._pace_ms = None

    def is_crowded(self, t: int, window_ms: int, alerts: int) -> bool:
        """Whether the latest `alerts` of the incident fell into the `window_ms` before `t`."""
        stamps = self.stamps
        end = bisect_right(stamps, t + 1000)
        return end >= alerts and t - window_ms <= stamps[end - alerts]

    @property
    def pace_ms(self) -> float:
        """The mean time between the last dozen alerts; 0 while there are fewer than four."""
        if self._pace_ms is None:
            stamps = self.stamps[-12:]
            self._pace_ms = (stamps[-1] - stamps[0]) / (len(stamps) - 1) if len(stamps) >= 4 else 0.0
        return self._pace_ms

    def crowd_at(self, t: int, window_ms: int) -> int:
        """Return how many of the latest alerts fell within `window_ms` of that instant, before or after."""
        return bisect_right(self.stamps, t + window_ms) - bisect_left(self.stamps, t - window_ms)

    def spans(self, t: int) -> bool:
        """Whether an alert of that instant can belong here at all: not past a second onset, not before its own."""
        return (self.sealed_ms is None or t < self.sealed_ms) and (self.front_ms is None or t >= self.front_ms)

    def takes(self, s: Signal, active_ms: int, keep_ms: int) -> bool:
        """Whether anything but a repeat may still join, by event time and by arrival."""
        return self.spans(s.ts_ms) and s.ts_ms - self.last_ms <= active_ms and s.arr_ms - self.arr_ms <= keep_ms

    def pages(self) -> bool:
        """Whether a person is told: production, and graver than a warning or more than one condition.

        A warning that stays alone waits on the board for company. So does whatever may belong to another incident,
        for which people were told already: until a second alert of another name.
        """
        if self.env.lower() in ("staging", "stage", "test", "dev", "development", "qa", "sandbox"):
            return False
        if self.doubtful and len({name.split(PRINT_SEPARATOR)[2] for name in self.prints}) < 2:
            return False
        return self.rank >= 2 or (self.rank == 1 and not self.lone and len(self.prints) >= 2)

    def export(self) -> dict[str, Any]:
        """Return the state as a JSON object; `load` gives an equal incident back."""
        state: dict[str, Any] = {name: getattr(self, name) for name in _PLAIN}
        for name in _TIMES:
            state[name] = dict(state[name])
        state |= {
            "absorbed": list(self.absorbed),
            "apart": list(self.apart),
            "unmapped": sorted(self.unmapped),
            "entities": {name: list(seen) for name, seen in self.entities.items()},
            "prints": {name: seen.export() for name, seen in self.prints.items()},
            "words": [[word, *at] for word, at in self.words.items()],
            "recent": [[list(m.signal), list(m.reason), list(m.also)] for m in self.recent],
            "stamps": list(self.stamps),
            "wave": [list(refire) for refire in self.wave],
        }
        return state

    @classmethod
    def load(cls, state: dict[str, Any]) -> "Incident":
        incident = cls(state["key"], state["cluster"], state["env"], 0)
        for name in (*_PLAIN, "absorbed", "apart"):
            value = state[name]
            setattr(incident, name, value.copy() if isinstance(value, dict | list) else value)
        incident.unmapped = set(state["unmapped"])
        incident.entities = {name: list(seen) for name, seen in state["entities"].items()}
        incident.prints = {name: Seen.load(row) for name, row in state["prints"].items()}
        incident.words = {row[0]: (row[1], row[2]) for row in state["words"]}
        incident.recent = [Member(_signal(s), Reason(*r), tuple(also)) for s, r, also in state["recent"]]
        incident.stamps = sorted(state["stamps"])
        incident._pace_ms = None
        incident.wave = [Refire(*row) for row in state["wave"]]
        return incident

    def latest_seq(self) -> int:
        """Return the number of the latest alert this incident took."""
        return max((seen.seq for seen in self.prints.values()), default=0)


def _signal(row: list[Any]) -> Signal:
    signal = Signal(*row)
    return signal._replace(mentions=tuple(signal.mentions))


def oldest_first(incidents: Iterable[Incident]) -> list[Incident]:
    """Return incidents in the one order that every process agrees on."""
    return sorted(incidents, key=lambda i: (i.opened_ms, i.key))
