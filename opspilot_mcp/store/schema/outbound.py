"""The tables on the way out: what somebody may sign, and whether people's side runs."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text

from opspilot_mcp.store.columns import id_column
from opspilot_mcp.store.schema.base import metadata

proposals = Table(
    "proposals",
    metadata,
    id_column(),
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
