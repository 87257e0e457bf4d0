"""The desk's audit becomes a chain; the P1 net, kept answers, batches, duplicate hints and linked tickets get room."""

import json

import sqlalchemy as sa
from alembic import op

from opspilot_mcp.store import chain, guards

revision = "0002"
down_revision = "0001"

_BATCH = 1_000


def upgrade() -> None:
    _answers_of_a_model()
    _hints_and_links()
    _columns_and_indexes()
    _learner_of_two_models()
    _chained_audit()


def _answers_of_a_model() -> None:
    op.create_table(
        "ai_answers",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_ai_answers")),
    )
    op.create_index(op.f("ix_ai_answers_at_ms"), "ai_answers", ["at_ms"], unique=False)
    op.create_table(
        "ai_batches",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("collected_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ai_batches")),
    )


def _hints_and_links() -> None:
    op.create_table(
        "duplicate_hints",
        sa.Column("ticket_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("other_id", sa.Integer(), nullable=False),
        sa.Column("alike", sa.Float(), nullable=False),
        sa.Column("shared", sa.Text(), nullable=False),
        sa.Column("same_requester", sa.Boolean(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["other_id"], ["tickets.id"], name=op.f("fk_duplicate_hints_other_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_duplicate_hints_ticket_id")),
        sa.PrimaryKeyConstraint("ticket_id", name=op.f("pk_duplicate_hints")),
    )
    op.create_index(op.f("ix_duplicate_hints_other_id"), "duplicate_hints", ["other_id"], unique=False)
    op.create_table(
        "incident_tickets",
        sa.Column("incident_id", sa.Integer(), nullable=False),
        sa.Column("ticket_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('linked','rejected')", name=op.f("ck_incident_tickets_state")),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_incident_tickets_incident_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_incident_tickets_ticket_id")),
        sa.PrimaryKeyConstraint("incident_id", "ticket_id", name=op.f("pk_incident_tickets")),
    )
    op.create_index(op.f("ix_incident_tickets_ticket_id"), "incident_tickets", ["ticket_id"], unique=False)


def _columns_and_indexes() -> None:
    op.add_column("proposals", sa.Column("asked_by", sa.Text(), nullable=True))
    op.add_column("triages", sa.Column("net_score", sa.Float(), nullable=True))
    op.add_column("triages", sa.Column("is_p1", sa.Boolean(), nullable=True))
    op.drop_index(op.f("ix_tickets_triaged_ms_id"), table_name="tickets")
    op.create_index(
        op.f("ix_tickets_triaged_ms_queue_key_id"), "tickets", ["triaged_ms", "queue_key", "id"], unique=False
    )
    merged = sa.text("merged_into IS NOT NULL")
    for table in ("tickets", "incidents"):
        op.create_index(
            f"ix_{table}_merged", table, ["merged_into"], unique=False, sqlite_where=merged, postgresql_where=merged
        )


def _learner_of_two_models() -> None:
    """Every row so far is the category learner's."""
    op.rename_table("learner_rows", "learner_rows_0001")
    op.create_table(
        "learner_rows",
        sa.Column("hash", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash", "model", name=op.f("pk_learner_rows")),
    )
    op.execute("INSERT INTO learner_rows (hash, model, packed) SELECT hash, 'category', packed FROM learner_rows_0001")
    op.drop_table("learner_rows_0001")


def _chained_audit() -> None:
    """Copy the rows in their order into a table that holds the chain, each with the hash of the row before."""
    conn = op.get_bind()
    for event in ("update", "delete"):
        conn.exec_driver_sql(f"DROP TRIGGER audit_no_{event}")
    op.drop_index(op.f("ix_audit_subject_seq"), table_name="audit")
    op.rename_table("audit", "audit_0001")
    new = op.create_table(
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
    head = (0, chain.START)
    old = conn.exec_driver_sql("SELECT at_ms, actor, action, subject, detail FROM audit_0001 ORDER BY seq")
    while rows := old.fetchmany(_BATCH):
        linked = []
        for row in rows:
            at_ms, actor, action, subject, detail = row
            made = chain.linked(head, actor, action, subject, json.loads(detail), now=at_ms)
            linked.append(made)
            head = (head[0] + 1, str(made["hash"]))
        conn.execute(new.insert(), linked)
    op.drop_table("audit_0001")
    guards.append_only(conn, "audit")
