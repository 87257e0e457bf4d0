"""Resolves that came before the alert they end: a monitor retries, a network reorders, and the firing comes second.

Each is kept for ten minutes of arrival and leaves when its alert comes. No row of their own keeps them in a database:
they are the alerts stored as `nothing_to_resolve` that arrived from `kept_from_ms` until before `kept_until_ms`.
"""

from typing import NamedTuple

from opspilot_mcp.aiops.signals import Signal

SWEEP_MS = 600_000  # the engine lets go of what is over each time the arrivals enter another ten minutes
KEPT_MS = SWEEP_MS  # how far behind its resolve an alert may come; no more than SWEEP_MS
MOST = 2_000  # past this many at once the one kept longest is forgotten


class Early(NamedTuple):
    """One such resolve and the scope it is of."""

    cluster: str
    env: str
    signal: Signal


def kept_from_ms(swept: int) -> int:
    """Return the first arrival kept while alerts of the `swept`-th ten minutes arrive.

    One ten minutes more than an alert may lie behind: processes' clocks differ, so arrivals step back a little.
    """
    return (swept - 2) * SWEEP_MS


def kept_until_ms(swept: int) -> int:
    """Return the instant before which they arrived: arrivals stepped back at most into the ten minutes before."""
    return (swept + 2) * SWEEP_MS


class EarlyResolves:
    """The resolves that wait for their alert, in order of arrival."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str, str], list[Early]] = {}  # by cluster, environment and fingerprint
        self._count = 0

    def keep(self, one: Early) -> None:
        """Remember a resolve that ended nothing. One that tells of long ago, or of later, ends no alert on its way."""
        s = one.signal
        if s.skewed or abs(s.arr_ms - s.ts_ms) > KEPT_MS:
            return
        self._waiting.setdefault((one.cluster, one.env, s.fingerprint), []).append(one)
        self._count += 1
        if self._count > MOST:
            longest = next(iter(self._waiting))
            self._leave(longest, self._waiting[longest][1:])

    def take(self, cluster: str, env: str, firing: Signal) -> list[Signal]:
        """Return the resolves that end this alert, in order of arrival; they wait no longer."""
        key = (cluster, env, firing.fingerprint)
        waiting = self._waiting.get(key)
        if waiting is None:
            return []
        ends = [one for one in waiting if _ends(one.signal, firing)]
        self._leave(key, [one for one in waiting if not _ends(one.signal, firing)])
        return [one.signal for one in ends]

    def forget_before(self, arrival_ms: int) -> None:
        """Let go of what arrived before that instant."""
        for key, waiting in list(self._waiting.items()):
            self._leave(key, [one for one in waiting if one.signal.arr_ms >= arrival_ms])

    def listed(self) -> list[Early]:
        """Return all that wait; `keep` each, in this order, to carry on elsewhere."""
        return [one for waiting in self._waiting.values() for one in waiting]

    def _leave(self, key: tuple[str, str, str], left: list[Early]) -> None:
        self._count -= len(self._waiting[key]) - len(left)
        if left:
            self._waiting[key] = left
        else:
            del self._waiting[key]


def _ends(resolve: Signal, firing: Signal) -> bool:
    return resolve.ts_ms >= firing.ts_ms and abs(firing.arr_ms - resolve.arr_ms) <= KEPT_MS
