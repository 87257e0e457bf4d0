"""The alert: one canonical record whatever monitor sent it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Severity = Literal["info", "warning", "error", "critical"]
AlertStatus = Literal["firing", "resolved"]


class Alert(BaseModel):
    """One delivered alert in the canonical form. Instants are UTC ms; names are as the monitor wrote them."""

    model_config = ConfigDict(frozen=True)

    id: str
    ts_ms: int  # event time
    arr_ms: int  # arrival
    cluster: str = "default"
    env: str = "prod"
    service: str | None = None
    instance: str | None = None
    host: str | None = None
    alertname: str
    severity: Severity = "warning"
    summary: str = ""
    source: str = "generic"
    status: AlertStatus = "firing"
    change: str | None = None
    labels: dict[str, str] = {}
