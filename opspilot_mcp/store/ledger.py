"""One row for every reading and draft, whichever engine made it: tokens, cost, latency, outcome."""

from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, insert

from opspilot_mcp.store.schema import ai_calls

_INSERT = insert(ai_calls)


class AiCall(BaseModel):
    """One call of an engine. The local engine's rows cost 0 and 0 tokens; its latency is measured all the same."""

    model_config = ConfigDict(frozen=True)

    at_ms: int
    operation: Literal["read", "draft", "summary"]
    subject: str  # "T-17"
    engine: str  # "local", "anthropic"
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float = 0.0
    latency_ms: float
    outcome: str = "ok"


def record(conn: Connection, call: AiCall) -> None:
    """Store one call in the transaction of what it led to."""
    conn.execute(_INSERT, call.model_dump())
