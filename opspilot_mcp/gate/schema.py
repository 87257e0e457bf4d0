"""The gate's own tables. Nothing here is written by the agents' process, and only what is here is ever sent."""

from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from opspilot_mcp.store.columns import audit_table, id_column, new_metadata
from opspilot_mcp.store.migrate import Lineage

GATE = Lineage(name="gate", head="0001", scripts=Path(__file__).parent / "migrations")

metadata = new_metadata()

# One row: who this gate is, and the switches that stop it.
gate_state = Table(
    "gate_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("instance", Text, nullable=False),  # random; part of every signature, so no other gate takes it
    Column("created_ms", BigInteger, nullable=False),
    # The latest instant ever seen: a clock set back cannot make an old approval fresh.
    Column("high_water_ms", BigInteger, nullable=False),
    Column("killed_by", Text),  # who threw the kill switch; null while messages may leave
    Column("quarantine", Text),  # why a person must look first, after a restore; null normally
)

# Registered keys. A row counts only when its registration is signed by an older registered key, back to the root
# pinned in a file outside this database: a row written by somebody else is not an approver.
approvers = Table(
    "approvers",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("public_key", Text, nullable=False),  # base64, 32 bytes
    Column("registered_ms", BigInteger, nullable=False),
    Column("registered_by", Text, nullable=False),  # a key_id; the root's own
    Column("registration", Text, nullable=False),  # base64 signature over the registration payload
    Column("revoked_ms", BigInteger),
    Column("bad_tries", Integer, nullable=False),
    Column("locked_until_ms", BigInteger, nullable=False),
    Index(None, "name"),
)

# One message, one version of its words: the exact bytes to send. Triggers refuse any change to what was snapshot.
messages = Table(
    "messages",
    metadata,
    id_column(),
    Column("proposal", Integer, nullable=False),  # the number in PR-9
    Column("version", Integer, nullable=False),  # 1 is the agent's; each edit by a person adds one
    Column("kind", Text, nullable=False),  # reply, page
    Column("subject", Text, nullable=False),  # T-17 or INC-3
    Column("subject_version", Integer, nullable=False),
    Column("requester_id", Integer),
    Column("principal", Text, nullable=False),  # who proposed it
    Column("channel", Text, nullable=False),  # alias
    Column("channel_kind", Text, nullable=False),  # file, smtp, slack, webhook
    Column("destination_sha256", Text, nullable=False),  # of the alias's settings, without secrets
    Column("recipient", Text, nullable=False),  # the address, or the alias and the host it leads to
    Column("content", LargeBinary, nullable=False),
    Column("sha256", Text, nullable=False),  # of content
    Column("source_sha256", Text, nullable=False),  # of the proposal's row: shows when the desk's row was changed
    Column("event_id", Text, nullable=False),  # Message-ID, Slack metadata id, idempotency key
    Column("draft", Text, nullable=False),  # the words as the agent proposed them
    Column("flags", Text, nullable=False),  # JSON list of risks.Flag
    Column("risk", Text, nullable=False),  # normal, high, blocked
    Column("created_ms", BigInteger, nullable=False),
    # -- what happens to it; everything above never changes
    Column("state", Text, nullable=False),
    Column("detail", Text, nullable=False),  # why it is in this state, in our words
    Column("state_ms", BigInteger, nullable=False),
    Column("asked", Text, nullable=False),  # the agents' wish as last seen: send, hold, withdraw
    Column("warnings", Text, nullable=False),  # JSON list: what changed on the ticket since
    Column("not_before_ms", BigInteger),  # undo window or back-off
    Column("attempts", Integer, nullable=False),
    Column("fence", Integer, nullable=False),  # grows with each claim; only the newest claim may mark
    Column("lease_until_ms", BigInteger),
    Column("mirrored", Boolean, nullable=False),
    UniqueConstraint("proposal", "version"),
    CheckConstraint("kind IN ('reply','page')", name="kind"),
    CheckConstraint("risk IN ('normal','high','blocked')", name="risk"),
    CheckConstraint(
        "state IN ('pending','approved','sending','sent','uncertain','retry','failed','rejected','withdrawn',"
        "'expired','held','void','replaced')",
        name="state",
    ),
    Index(None, "state", "not_before_ms", "id"),
    Index(None, "mirrored", "id"),
    Index(None, "recipient", "state"),
    Index(None, "subject", "state"),
    sqlite_autoincrement=True,
)

approvals = Table(
    "approvals",
    metadata,
    id_column(),
    Column("message_id", ForeignKey("messages.id"), nullable=False, index=True),
    Column("approver", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("payload", Text, nullable=False),  # the canonical JSON that was signed
    Column("signature", Text, nullable=False),  # base64
    Column("nonce", Text, nullable=False, unique=True),
    Column("expires_ms", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # valid, void, spent, redundant
    CheckConstraint("state IN ('valid','void','spent','redundant')", name="state"),
    sqlite_autoincrement=True,
)

# Append-only: a nonce once spent stays spent, and belongs to one message.
nonces = Table(
    "nonces",
    metadata,
    Column("nonce", Text, primary_key=True),
    Column("message_id", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

# One row a try. Its outcome is written once, by the holder of the fence, or by the reaper when the lease ran out.
deliveries = Table(
    "deliveries",
    metadata,
    Column("message_id", ForeignKey("messages.id"), primary_key=True),
    Column("fence", Integer, primary_key=True),
    Column("started_ms", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("outcome", Text),  # sent, retry, failed, uncertain; null while it runs
    Column("detail", Text, nullable=False),
    Column("ended_ms", BigInteger),
    Index(None, "started_ms"),
)

# Whom this gate has written to, from its own deliveries only.
recipients = Table(
    "recipients",
    metadata,
    Column("address", Text, primary_key=True),
    Column("first_sent_ms", BigInteger, nullable=False),
    Column("last_sent_ms", BigInteger, nullable=False),
)

# Link hosts that left in a sent message: one never seen before is flagged.
known_hosts = Table(
    "known_hosts",
    metadata,
    Column("host", Text, primary_key=True),
    Column("first_sent_ms", BigInteger, nullable=False),
)

audit = audit_table(metadata)
