"""Which entity is the likely root of an incident: ranked candidates, each with the terms of its score."""

from collections.abc import Mapping
from typing import NamedTuple


class Candidate(NamedTuple):
    """One possible root. `why` is a sentence made of the terms; `terms` are the numbers behind `score`."""

    entity: str
    score: float
    why: str
    terms: tuple[tuple[str, float], ...] = ()


def rank(members: Mapping[str, int], *, limit: int = 5) -> list[Candidate]:
    """Return candidates, best first. `members`: entity -> alerts of the incident."""
    whole = sum(members.values()) or 1
    ordered = sorted(members.items(), key=lambda item: (-item[1], item[0]))[:limit]
    return [Candidate(e, n / whole, f"{n} of {whole} alerts", (("share", n / whole),)) for e, n in ordered]
