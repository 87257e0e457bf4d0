"""The desk database's tables. Instants are UTC ms (`*_ms`); ids are the numbers inside `T-17`, `INC-3`, `PR-9`.

One file a wing; all are named here, so that a caller need not know which.
"""

from pathlib import Path

from opspilot_mcp.store.migrate import Lineage
from opspilot_mcp.store.schema.aiops import (
    alert_history,
    alerts,
    correlator,
    correlator_states,
    incident_notes,
    incident_services,
    incident_tickets,
    incidents,
    runbook_steps,
    silences,
    topologies,
)
from opspilot_mcp.store.schema.base import metadata
from opspilot_mcp.store.schema.desk import (
    desk_state,
    drafts,
    duplicate_hints,
    learner_rows,
    learner_state,
    notes,
    replies,
    requesters,
    reviews,
    ticket_tags,
    tickets,
    triages,
)
from opspilot_mcp.store.schema.ground import audit, idempotency, sweeps
from opspilot_mcp.store.schema.insights import ai_answers, ai_batches, ai_calls
from opspilot_mcp.store.schema.outbound import gate_status, proposals

__all__ = [
    "DESK",
    "ai_answers",
    "ai_batches",
    "ai_calls",
    "alert_history",
    "alerts",
    "audit",
    "correlator",
    "correlator_states",
    "desk_state",
    "drafts",
    "duplicate_hints",
    "gate_status",
    "idempotency",
    "incident_notes",
    "incident_services",
    "incident_tickets",
    "incidents",
    "learner_rows",
    "learner_state",
    "metadata",
    "notes",
    "proposals",
    "replies",
    "requesters",
    "reviews",
    "runbook_steps",
    "silences",
    "sweeps",
    "ticket_tags",
    "tickets",
    "topologies",
    "triages",
]

DESK = Lineage(name="desk", head="0003", scripts=Path(__file__).parents[1] / "migrations")
