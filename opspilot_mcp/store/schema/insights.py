"""The tables of the language models: each call with its cost, kept answers, batches handed in."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, Table, Text

from opspilot_mcp.store.columns import id_column
from opspilot_mcp.store.schema.base import metadata

ai_calls = Table(
    "ai_calls",
    metadata,
    id_column(),
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
