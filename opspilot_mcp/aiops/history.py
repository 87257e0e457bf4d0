"""What earlier incidents looked like: plain counters, so that a root can be told by what is rare for its place."""

from collections.abc import Iterable
from math import log
from typing import NamedTuple

MAX_PAIRS = 200_000
RECENT = 0.7  # an incident counts this much less for each incident of its cluster that came after it


class Row(NamedTuple):
    """One counter as a database keeps it. `entity` is `cluster/place`; the row of a whole cluster has no alert name."""

    entity: str
    alertname: str
    incidents: int  # earlier incidents with this alert at this place
    recent: float  # the same, faded by `RECENT`, as of number `at`
    at: int  # the cluster's count of incidents when the row changed last


class History:
    """Counters of (place, alert name) over earlier incidents, a cluster apart from the next."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._rows: dict[tuple[str, str], Row] = {(row.entity, row.alertname): row for row in rows}
        self._changed: dict[tuple[str, str], None] = {}

    def learn(self, cluster: str, pairs: Iterable[tuple[str, str]]) -> None:
        """Count one incident that is over: its (place, alert name) pairs, each once."""
        number = self.incidents(cluster) + 1
        self._put(Row(f"{cluster}/", "", number, 0.0, number))
        for place, name in sorted(set(pairs)):
            entity = f"{cluster}/{place}"
            row = self._rows.get((entity, name)) or Row(entity, name, 0, 0.0, number)
            recent = row.recent * RECENT ** (number - row.at) + 1
            self._put(Row(entity, name, row.incidents + 1, recent, number))

    def _put(self, row: Row) -> None:
        key = (row.entity, row.alertname)
        self._rows.pop(key, None)
        self._rows[key] = row
        self._changed[key] = None
        if len(self._rows) > MAX_PAIRS:
            del self._rows[next(iter(self._rows))]

    def incidents(self, cluster: str) -> int:
        """Return how many incidents of the cluster were learnt."""
        row = self._rows.get((f"{cluster}/", ""))
        return row.incidents if row is not None else 0

    def rarity(self, cluster: str, place: str, name: str) -> float:
        """Return 0..1: 1 for what never happened here, near 0 for what happens every time or goes on right now.

        The inverse document frequency of the pair, halved for each time it was there lately.
        """
        row = self._rows.get((f"{cluster}/{place}", name))
        if row is None:
            return 1.0
        number = self.incidents(cluster)
        idf = log((number + 2) / (row.incidents + 1)) / log(number + 2)
        return idf / (1 + row.recent * RECENT ** (number - row.at))

    def rarities(self, cluster: str, told: Iterable[tuple[str, str, int]]) -> tuple[float, ...]:
        """Return `rarity` for each (place, alert name, alerts), in order."""
        return tuple([self.rarity(cluster, place, name) for place, name, _ in told])

    def changed(self) -> list[Row]:
        """Return the rows to store since the last call."""
        rows = [self._rows[key] for key in self._changed if key in self._rows]
        self._changed.clear()
        return rows
