"""The desk database's tables. Instants are UTC ms (`*_ms`); ids are the numbers inside `T-17`, `INC-3`, `PR-9`."""

from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from opspilot_mcp.store.migrate import Lineage

DESK = Lineage(name="desk", head="0002", scripts=Path(__file__).parent / "migrations")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True, autoincrement=True)


# -- ground -----------------------------------------------------------------------------------------------------------

# Append-only and hash-chained: triggers in the migration refuse UPDATE and DELETE.
audit = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3 ... without a gap
    Column("at_ms", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),  # the door's principal, never a name from an argument
    Column("action", Text, nullable=False),  # "ticket.created", "incident.acknowledged"
    Column("subject", Text, nullable=False),  # "T-17", "INC-3", "import"
    Column("detail", Text, nullable=False),  # JSON object, our words and ids
    Column("previous", Text, nullable=False),  # the hash of the row before
    Column("hash", Text, nullable=False),
    Index(None, "subject", "seq"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("principal", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_sha256", Text, nullable=False),
    Column("answer", Text, nullable=False),  # the id the first call made
    Column("at_ms", BigInteger, nullable=False),
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("name", Text, primary_key=True),
    Column("ran_ms", BigInteger, nullable=False),
)

# -- desk -------------------------------------------------------------------------------------------------------------

requesters = Table(
    "requesters",
    metadata,
    _id(),
    Column("address", Text, nullable=False, unique=True),  # never changed after insert
    Column("name", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

tickets = Table(
    "tickets",
    metadata,
    _id(),
    Column("version", Integer, nullable=False),
    Column("source", Text, nullable=False),  # where it came from: "import", "agent", or the name an operator gave
    Column("external_id", Text),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("requester_id", ForeignKey("requesters.id")),
    Column("requester_verified", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    Column("assignee", Text),
    Column("queue", Text),  # billing, support ...: who owns the category
    Column("tier", Text),  # L1, L2, L3, human; null until routed
    Column("category", Text),
    Column("priority", Text),
    Column("sentiment", Text),
    Column("confidence", Float),
    Column("certified", Boolean),
    Column("escalate", Boolean, nullable=False),
    Column("triaged_ms", BigInteger),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("first_response_due_ms", BigInteger),
    Column("resolution_due_ms", BigInteger),
    Column("next_due_ms", BigInteger),  # the next target not yet met
    # The order of the queue: next_due_ms, paused tickets behind all others, null once out of the queue.
    Column("queue_key", BigInteger),
    Column("responded_ms", BigInteger),
    Column("resolved_ms", BigInteger),
    Column("paused_ms", BigInteger),  # since when it waits on the customer
    Column("breached", Text, nullable=False),  # the targets whose breach has climbed a tier: "", "first_response" ...
    Column("merged_into", ForeignKey("tickets.id")),
    UniqueConstraint("source", "external_id"),
    CheckConstraint(
        "status IN ('open','in_review','human_review','escalated','pending','resolved','closed')", name="status"
    ),
    CheckConstraint("priority IN ('P1','P2','P3','P4')", name="priority"),
    Index(None, "queue_key", "id"),
    Index(None, "status", "queue_key", "id"),
    Index(None, "priority", "queue_key", "id"),
    Index(None, "tier", "queue_key", "id"),
    Index(None, "category", "queue_key", "id"),
    # What waits for triage lies in the queue's order: without it every page of that sorts all of them.
    Index(None, "triaged_ms", "queue_key", "id"),
    Index(None, "created_ms"),
    Index(None, "requester_id"),
    # What was merged into one: few rows of many.
    Index(
        "ix_tickets_merged",
        "merged_into",
        sqlite_where=text("merged_into IS NOT NULL"),
        postgresql_where=text("merged_into IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

ticket_tags = Table(
    "ticket_tags",
    metadata,
    Column("ticket_id", ForeignKey("tickets.id"), primary_key=True),
    Column("tag", Text, primary_key=True),
    Index(None, "tag", "ticket_id"),
)

# What the customer sees or wrote. Internal words live in `notes`: a different table, so no flag can leak them.
replies = Table(
    "replies",
    metadata,
    _id(),
    Column("ticket_id", ForeignKey("tickets.id"), nullable=False, index=True),
    Column("direction", Text, nullable=False),  # "in" from the customer, "out" sent to them
    Column("body", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("proposal_id", Integer),
    CheckConstraint("direction IN ('in','out')", name="direction"),
    sqlite_autoincrement=True,
)

notes = Table(
    "notes",
    metadata,
    _id(),
    Column("ticket_id", ForeignKey("tickets.id"), nullable=False, index=True),
    Column("author", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

drafts = Table(
    "drafts",
    metadata,
    _id(),
    Column("ticket_id", ForeignKey("tickets.id"), nullable=False, index=True),
    Column("body", Text, nullable=False),
    Column("engine", Text, nullable=False),  # "macro:outage", "claude-haiku-5-5", "agent"
    Column("at_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# Every reading, kept as it was when the decision fell: scores are frozen before anything is learnt from the ticket.
triages = Table(
    "triages",
    metadata,
    _id(),
    Column("ticket_id", ForeignKey("tickets.id"), nullable=False, index=True),
    Column("engine", Text, nullable=False),
    Column("category", Text),
    Column("priority", Text, nullable=False),
    Column("sentiment", Text, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("certified", Boolean, nullable=False),
    Column("decision", Text, nullable=False),  # auto, human, audit
    # What the learner thought, frozen before it could learn from the ticket.
    Column("predicted", Text),
    Column("raw", Float, nullable=False),
    Column("score", Float, nullable=False),
    Column("epoch", Integer, nullable=False),  # alarms of the certificate so far
    # Sent to a person for what it states, whatever its score: always reviewed, so it must not stand in a sample.
    Column("forced", Boolean, nullable=False),
    Column("correct", Boolean),  # null until a person reviewed the ticket
    # What the P1 net thought, frozen as well; null while it had learnt too few P1s to say anything.
    Column("net_score", Float),
    Column("is_p1", Boolean),  # what a person decided; null until one did
    Column("why", Text, nullable=False),  # JSON list of sentences
    Column("at_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# What a person decided a ticket is about: the only thing the learner learns from.
reviews = Table(
    "reviews",
    metadata,
    Column("ticket_id", ForeignKey("tickets.id"), primary_key=True),
    Column("category", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
)

learner_rows = Table(
    "learner_rows",
    metadata,
    # The hash first: one look finds the rows of both models.
    Column("hash", BigInteger, primary_key=True, autoincrement=False),
    Column("model", Text, primary_key=True),  # category, p1
    Column("packed", LargeBinary, nullable=False),
)

learner_state = Table(
    "learner_state",
    metadata,
    Column("name", Text, primary_key=True),  # head, scale, gate, p1_head, p1_net
    Column("body", Text, nullable=False),  # JSON
)

# The ticket a new one may repeat, as found on arrival. A suggestion: only a person or an agent merges.
duplicate_hints = Table(
    "duplicate_hints",
    metadata,
    Column("ticket_id", ForeignKey("tickets.id"), primary_key=True, autoincrement=False),
    Column("other_id", ForeignKey("tickets.id"), nullable=False, index=True),
    Column("alike", Float, nullable=False),  # how much of their words is shared, 0 to 1
    Column("shared", Text, nullable=False),  # JSON list: names both texts hold, strangers' words
    Column("same_requester", Boolean, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

# -- aiops ------------------------------------------------------------------------------------------------------------

topologies = Table(
    "topologies",
    metadata,
    _id(),
    Column("body", Text, nullable=False),  # the import as JSON; the newest row is in force
    Column("sha256", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

alerts = Table(
    "alerts",
    metadata,
    _id(),
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
    _id(),
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
    _id(),
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
    _id(),
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

# -- insights ---------------------------------------------------------------------------------------------------------

ai_calls = Table(
    "ai_calls",
    metadata,
    _id(),
    Column("at_ms", BigInteger, nullable=False),
    Column("operation", Text, nullable=False),  # read, draft
    Column("subject", Text, nullable=False),  # "T-17"
    Column("engine", Text, nullable=False),  # local, anthropic
    Column("model", Text, nullable=False),  # "rules-1", "claude-haiku-5-5"
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("outcome", Text, nullable=False),  # ok, refused, cut, timeout, error
    Index(None, "at_ms"),
    Index(None, "subject"),
    sqlite_autoincrement=True,
)

# Answers of a paid model by content hash: checked, without the question. May be emptied at any time.
ai_answers = Table(
    "ai_answers",
    metadata,
    Column("key", Text, primary_key=True),
    Column("answer", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False, index=True),
)

# Backlogs handed in to a model at half the price: what any process needs to collect them.
ai_batches = Table(
    "ai_batches",
    metadata,
    Column("id", Text, primary_key=True),  # the provider's
    Column("body", Text, nullable=False),  # JSON of engines.Batch: ids, content hashes and receipts, no text
    Column("at_ms", BigInteger, nullable=False),
    Column("collected_ms", BigInteger),
)

# -- the way out ------------------------------------------------------------------------------------------------------

proposals = Table(
    "proposals",
    metadata,
    _id(),
    Column("kind", Text, nullable=False),  # reply, page
    Column("subject", Text, nullable=False),  # "T-17" or "INC-3"
    Column("subject_version", Integer, nullable=False),  # the version it was built on
    Column("requester_id", ForeignKey("requesters.id")),  # whom a reply goes to; null for a page
    Column("channel", Text, nullable=False),  # alias; the destination is the gate's to know
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("asked", Text, nullable=False),  # what the agents' side wants: send, hold, withdraw
    Column("asked_by", Text),  # the principal that asked to hold or withdraw it; null while nobody has
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    # Mirrored by the gate for the agent to read; decides nothing. Null until the gate has seen the row.
    Column("outcome", Text),
    Column("outcome_detail", Text),
    Column("outcome_ms", BigInteger),
    Column("sent_body", Text),
    Column("absorbed_ms", BigInteger),  # when the desk has taken a "sent" into the ticket's thread
    CheckConstraint("kind IN ('reply','page')", name="kind"),
    CheckConstraint("asked IN ('send','hold','withdraw')", name="asked"),
    Index(None, "subject"),
    Index(None, "outcome", "id"),
    sqlite_autoincrement=True,
)

# One row: whether people's side runs. Written by the gate, read by every answer about a proposal.
gate_status = Table(
    "gate_status",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("beat_ms", BigInteger, nullable=False),
    Column("killed", Boolean, nullable=False),
    Column("detail", Text, nullable=False),
)
