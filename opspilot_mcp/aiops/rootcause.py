"""Which entity is the likely root of an incident: ranked candidates, each with the terms of its score."""

from typing import NamedTuple

from opspilot_mcp.aiops.incident_state import Incident
from opspilot_mcp.aiops.topology import Topology


class Candidate(NamedTuple):
    """One possible root. `why` is a sentence made of the terms; `terms` are the numbers behind `score`."""

    entity: str
    score: float
    why: str
    terms: tuple[tuple[str, float], ...] = ()


class History:
    """How often each (place, alert name) took part in earlier incidents."""


def rank(incident: Incident, topology: Topology, history: History | None = None, *, limit: int = 5) -> list[Candidate]:
    """Return candidates, best first."""
    del topology, history
    whole = incident.count or 1
    items = [(incident.anchors.get(e, 1 << 60), -seen[2], e) for e, seen in incident.entities.items()]
    found = []
    for _, n, e in sorted(items)[:limit]:
        share = -n / whole
        found.append(Candidate(e, round(share, 4), f"{-n} of {whole} alerts", (("share", share),)))
    return found
