"""Where one alert went: the engine's answer."""

import hashlib
from typing import NamedTuple

from opspilot_mcp.aiops.incident_state import Reason

LISTED = 2  # runners-up that are kept


class Placement(NamedTuple):
    """Where one alert went. `opened`: receiving it opened `incident_key`. `revised`: earlier alerts it moved, or whose
    runners-up it changed, each with its full new placement."""

    alert_id: str
    incident_key: str | None
    reason: Reason
    also_explained_by: tuple[str, ...] = ()
    suppressed: bool = False
    opened: bool = False
    merged: tuple[tuple[str, str], ...] = ()  # (loser, survivor)
    revised: tuple["Placement", ...] = ()


def incident_key(cluster: str, env: str, alert_id: str) -> str:
    """Return the key of the incident this alert opens: the same in every process and every run."""
    return "i-" + hashlib.sha256(f"{cluster}\0{env}\0{alert_id}".encode()).hexdigest()[:16]
