"""The gate database as first released."""

import sqlalchemy as sa
from alembic import op

from opspilot_mcp.store import guards

revision = "0001"
down_revision = None

_SNAPSHOT = (
    "proposal",
    "version",
    "kind",
    "subject",
    "subject_version",
    "requester_id",
    "principal",
    "channel",
    "channel_kind",
    "destination_sha256",
    "recipient",
    "content",
    "sha256",
    "source_sha256",
    "event_id",
    "draft",
    "flags",
    "risk",
    "created_ms",
)
_SIGNED = ("message_id", "approver", "key_id", "payload", "signature", "nonce", "expires_ms")


def upgrade() -> None:
    op.create_table(
        "approvers",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("registered_ms", sa.BigInteger(), nullable=False),
        sa.Column("registered_by", sa.Text(), nullable=False),
        sa.Column("registration", sa.Text(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.Column("bad_tries", sa.Integer(), nullable=False),
        sa.Column("locked_until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_approvers")),
    )
    op.create_index(op.f("ix_approvers_name"), "approvers", ["name"], unique=False)
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_subject_seq"), "audit", ["subject", "seq"], unique=False)
    op.create_table(
        "gate_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("high_water_ms", sa.BigInteger(), nullable=False),
        sa.Column("killed_by", sa.Text(), nullable=True),
        sa.Column("quarantine", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate_state")),
    )
    op.create_table(
        "known_hosts",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("first_sent_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_known_hosts")),
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("proposal", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("subject_version", sa.Integer(), nullable=False),
        sa.Column("requester_id", sa.Integer(), nullable=True),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("channel_kind", sa.Text(), nullable=False),
        sa.Column("destination_sha256", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("source_sha256", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("draft", sa.Text(), nullable=False),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.Column("risk", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("state_ms", sa.BigInteger(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("warnings", sa.Text(), nullable=False),
        sa.Column("not_before_ms", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("mirrored", sa.Boolean(), nullable=False),
        sa.CheckConstraint("kind IN ('reply','page')", name=op.f("ck_messages_kind")),
        sa.CheckConstraint("risk IN ('normal','high','blocked')", name=op.f("ck_messages_risk")),
        sa.CheckConstraint(
            "state IN ('pending','approved','sending','sent','uncertain','retry','failed','rejected','withdrawn',"
            "'expired','held','void','replaced')",
            name=op.f("ck_messages_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("proposal", "version", name=op.f("uq_messages_proposal_version")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_messages_mirrored_id"), "messages", ["mirrored", "id"], unique=False)
    op.create_index(op.f("ix_messages_recipient_state"), "messages", ["recipient", "state"], unique=False)
    op.create_index(
        op.f("ix_messages_state_not_before_ms_id"), "messages", ["state", "not_before_ms", "id"], unique=False
    )
    op.create_index(op.f("ix_messages_subject_state"), "messages", ["subject", "state"], unique=False)
    op.create_table(
        "nonces",
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("nonce", name=op.f("pk_nonces")),
    )
    op.create_table(
        "recipients",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("first_sent_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_sent_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_recipients")),
    )
    op.create_table(
        "approvals",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("approver", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('valid','void','spent','redundant')", name=op.f("ck_approvals_state")),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_approvals_message_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        sa.UniqueConstraint("nonce", name=op.f("uq_approvals_nonce")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_approvals_message_id"), "approvals", ["message_id"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_deliveries_message_id")),
        sa.PrimaryKeyConstraint("message_id", "fence", name=op.f("pk_deliveries")),
    )
    op.create_index(op.f("ix_deliveries_started_ms"), "deliveries", ["started_ms"], unique=False)
    for table in ("audit", "nonces"):
        guards.append_only(op.get_bind(), table)
    guards.frozen_columns(op.get_bind(), "messages", _SNAPSHOT)
    guards.frozen_columns(op.get_bind(), "approvals", _SIGNED)
