"""The tables every room writes: the record, answers by key, when a sweep last ran."""

from sqlalchemy import BigInteger, Column, Table, Text

from opspilot_mcp.store.columns import audit_table
from opspilot_mcp.store.schema.base import metadata

audit = audit_table(metadata)

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
