"""The alerts' tables: the topology, what arrived, the incidents they make, and what the correlator remembers."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    text,
)

from opspilot_mcp.store.columns import id_column
from opspilot_mcp.store.schema.base import metadata

topologies = Table(
    "topologies",
    metadata,
    id_column(),
    Column("body", Text, nullable=False),  # the import as JSON; the newest row is in force
    Column("sha256", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

alerts = Table(
    "alerts",
    metadata,
    id_column(),
    Column("alert_id", Text, nullable=False, unique=True),  # the monitor's id, or the fingerprint and time
    Column("fingerprint", Text, nullable=False),
    Column("ts_ms", BigInteger, nullable=False),
    Column("arr_ms", BigInteger, nullable=False),
    Column("cluster", Text, nullable=False),
    Column("env", Text, nullable=False),
    Column("service", Text),
    Column("instance", Text),
    Column("host", Text),
    Column("alertname", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("change", Text),
    Column("labels", Text, nullable=False),  # JSON object
    Column("flags", Text, nullable=False),  # JSON list: what was wrong with it and kept, "clock", "cut:summary:120"
    # Filled by correlation; null while the alert waits for it.
    Column("correlated_ms", BigInteger),
    Column("incident_id", ForeignKey("incidents.id")),
    Column("suppressed", Text),  # why it is in no incident, such as "maintenance"; null when it counts
    Column("reason", Text),  # JSON: kind, entity, hops, seconds, score, text
    Column("also_explained_by", Text),  # JSON list of incident numbers, best first
    CheckConstraint("severity IN ('info','warning','error','critical')", name="severity"),
    CheckConstraint("status IN ('firing','resolved')", name="status"),
    # What waits for correlation, in the order it was stored: a small index that does not grow with the table.
    Index(
        "ix_alerts_waiting",
        "id",
        sqlite_where=text("correlated_ms IS NULL"),
        postgresql_where=text("correlated_ms IS NULL"),
    ),
    Index(None, "incident_id", "ts_ms"),
    sqlite_autoincrement=True,
)

incidents = Table(
    "incidents",
    metadata,
    id_column(),
    Column("version", Integer, nullable=False),  # counts changes of state, severity, tier and membership by a person
    Column("key", Text, nullable=False, unique=True),  # the correlator's own name for it
    Column("state", Text, nullable=False),  # open, acknowledged, resolved, merged
    Column("title", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("tier", Text, nullable=False),  # L1, L2, L3
    Column("pages", Boolean, nullable=False),
    Column("cluster", Text, nullable=False),
    Column("env", Text, nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("last_event_ms", BigInteger, nullable=False),
    Column("acknowledged_ms", BigInteger),
    Column("resolved_ms", BigInteger),
    Column("recovered_ms", BigInteger),  # since when no alert in it fires any more; null while one does
    Column("alert_count", Integer, nullable=False),
    Column("root_candidates", Text, nullable=False),  # JSON list: entity, score, why
    Column("runbook", Text),
    Column("merged_into", ForeignKey("incidents.id")),
    CheckConstraint("state IN ('open','acknowledged','resolved','merged')", name="state"),
    Index(None, "state", "last_event_ms"),
    # What was merged into one: few rows of many.
    Index(
        "ix_incidents_merged",
        "merged_into",
        sqlite_where=text("merged_into IS NOT NULL"),
        postgresql_where=text("merged_into IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

# One row: names the state the correlator left behind, so that a process knows whether its own copy is still the truth.
correlator = Table(
    "correlator",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("token", Text, nullable=False),
    Column("swept", Integer, nullable=False),  # when the engine last closed what had timed out, in its own units
    Column("at_ms", BigInteger, nullable=False),
)

# What the correlator knows of each incident that can still grow; a row goes when its incident has closed.
correlator_states = Table(
    "correlator_states",
    metadata,
    Column("incident_id", ForeignKey("incidents.id"), primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),  # JSON, written and read by aiops/correlation.py alone
)

incident_services = Table(
    "incident_services",
    metadata,
    Column("incident_id", ForeignKey("incidents.id"), primary_key=True),
    Column("service", Text, primary_key=True),
    Index(None, "service", "incident_id"),
)

incident_notes = Table(
    "incident_notes",
    metadata,
    id_column(),
    Column("incident_id", ForeignKey("incidents.id"), nullable=False, index=True),
    Column("author", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# Which tickets an incident explains: what somebody linked, and suggestions turned down, which do not come back.
incident_tickets = Table(
    "incident_tickets",
    metadata,
    Column("incident_id", ForeignKey("incidents.id"), primary_key=True),
    Column("ticket_id", ForeignKey("tickets.id"), primary_key=True),
    Column("state", Text, nullable=False),  # linked, rejected
    Column("by", Text, nullable=False),  # a link is confirmed once a person made it
    Column("at_ms", BigInteger, nullable=False),
    CheckConstraint("state IN ('linked','rejected')", name="state"),
    Index(None, "ticket_id"),
)

runbook_steps = Table(
    "runbook_steps",
    metadata,
    Column("incident_id", ForeignKey("incidents.id"), primary_key=True),
    Column("runbook", Text, primary_key=True),
    Column("step", Integer, primary_key=True),  # from 1
    Column("by", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

# What a person has silenced: firing alerts that match every pattern given, while it lasts. Kept when it is over.
silences = Table(
    "silences",
    metadata,
    id_column(),
    Column("cluster", Text),  # patterns with * and ?; null matches everything
    Column("env", Text),
    Column("service", Text),
    Column("host", Text),
    Column("alertname", Text),
    Column("starts_ms", BigInteger, nullable=False),
    Column("ends_ms", BigInteger, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    sqlite_autoincrement=True,
)

# What earlier incidents looked like: the rare is the likelier cause. Rows are `History`'s of aiops/history.py.
alert_history = Table(
    "alert_history",
    metadata,
    Column("entity", Text, primary_key=True),  # "cluster/place"
    Column("alertname", Text, primary_key=True),  # empty in the row that counts the cluster's incidents
    Column("incidents", Integer, nullable=False),
    Column("recent", Float, nullable=False),  # the same, faded, as of the cluster's incident number `as_of`
    Column("as_of", Integer, nullable=False),
)
