"""The tickets' tables: who asked, what was said, every reading of it and what was learnt."""

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
    Table,
    Text,
    UniqueConstraint,
    text,
)

from opspilot_mcp.store.columns import id_column
from opspilot_mcp.store.schema.base import metadata

requesters = Table(
    "requesters",
    metadata,
    id_column(),
    Column("address", Text, nullable=False, unique=True),  # never changed after insert
    Column("name", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

tickets = Table(
    "tickets",
    metadata,
    id_column(),
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
    # The times it waited before: JSON list of [from, to], in order; null while there is none. In the row itself, so
    # that whoever reads, changes or copies a ticket has its whole clock.
    Column("pauses", Text),
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
    id_column(),
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
    id_column(),
    Column("ticket_id", ForeignKey("tickets.id"), nullable=False, index=True),
    Column("author", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

drafts = Table(
    "drafts",
    metadata,
    id_column(),
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
    id_column(),
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

# What the desk remembers of itself.
desk_state = Table(
    "desk_state",
    metadata,
    Column("name", Text, primary_key=True),  # promises: what the policy promised when open tickets were last computed
    Column("body", Text, nullable=False),
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
