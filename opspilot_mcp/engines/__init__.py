"""The minds a desk may ask: text in, checked answer out, and what it cost. No engine knows the database.

An engine never raises for what can go wrong with a model or a network. It answers with no reading and a `Usage`
that says what happened, so that the desk goes on with its local reading and the ledger still has the row.
"""

from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

Outcome = Literal["ok", "cached", "refused", "cut", "malformed", "timeout", "overloaded", "error", "over_budget"]
Priority = Literal["P1", "P2", "P3", "P4"]
Sentiment = Literal["positive", "neutral", "negative", "urgent"]

MAX_TAGS = 5


class Taxonomy(BaseModel):
    """The desk's own words: only these may stand in a reading. `categories` maps each name to what belongs in it."""

    model_config = ConfigDict(frozen=True)

    categories: dict[str, str] = Field(min_length=1)
    tags: tuple[str, ...] = ()


class Letter(BaseModel):
    """One ticket as an engine sees it; every text in it is a stranger's.

    `is_masked`: whether card numbers, keys and the like are masked on the way to a model (see `masking`).
    """

    model_config = ConfigDict(frozen=True)

    ticket: str
    subject: str
    body: str
    requester_name: str = ""
    is_masked: bool = True


class Brief(BaseModel):
    """What a draft has to keep to: the desk's own reading, and the minutes it promises from a ticket's arrival."""

    model_config = ConfigDict(frozen=True)

    category: str | None
    priority: Priority
    first_response_minutes: int = Field(ge=1)
    resolution_minutes: int | None = Field(default=None, ge=1)


class Usage(BaseModel):
    """What one call took. `input_tokens` counts what was not read from the provider's prompt cache."""

    model_config = ConfigDict(frozen=True)

    engine: str
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float = 0.0
    latency_ms: float = 0.0
    outcome: Outcome


class Reading(BaseModel):
    """An engine's view of a ticket, inside the taxonomy. `confidence` is its own, 0 to 1, and not calibrated."""

    model_config = ConfigDict(frozen=True)

    category: str
    priority: Priority
    sentiment: Sentiment
    escalate: bool
    tags: tuple[str, ...]
    confidence: float = Field(ge=0, le=1)


class Draft(BaseModel):
    """A reply nobody has signed. `engine` says who wrote it: `macro:outage`, `claude-haiku-5-5`."""

    model_config = ConfigDict(frozen=True)

    body: str
    engine: str
    language: str | None = None


class ReadAnswer(BaseModel):
    """A reading and its cost; `reading` is None when the outcome is neither `ok` nor `cached`."""

    model_config = ConfigDict(frozen=True)

    reading: Reading | None
    usage: Usage


class DraftAnswer(BaseModel):
    """A draft and its cost; `draft` is None when the outcome is neither `ok` nor `cached`."""

    model_config = ConfigDict(frozen=True)

    draft: Draft | None
    usage: Usage


class Engine(Protocol):
    """A language model that reads tickets and writes first replies; it keeps its ledger rows itself, by its `Purse`.

    Safe to cancel; never raises for a model's or a network's fault.
    """

    async def draft(self, letter: Letter, brief: Brief) -> DraftAnswer: ...

    async def read(self, letter: Letter, taxonomy: Taxonomy) -> ReadAnswer: ...

    async def close(self) -> None: ...


class Batch(BaseModel):
    """A backlog on its way: keep it (it is JSON) until `collect` has answered, in this process or another."""

    model_config = ConfigDict(frozen=True)

    id: str
    model: str
    keys: dict[str, str]  # ticket -> content hash
    receipts: dict[str, int]  # ticket -> the purse's receipt


class Submitted(BaseModel):
    """What became of a backlog: what is on its way, and the tickets that were answered at once, well or not."""

    model_config = ConfigDict(frozen=True)

    batch: Batch | None
    answers: dict[str, ReadAnswer]


class Cache(Protocol):
    """Keeps answers by content hash: the only way to the same answer twice, as models take no temperature."""

    async def get(self, key: str) -> str | None: ...

    async def put(self, key: str, answer: str) -> None: ...


class Purse(Protocol):
    """Holds the day's money and keeps the books. A call is paid at its worst price before it is made."""

    async def reserve(self, operation: str, subject: str, model: str, worst_usd: float) -> int | None:
        """Return a receipt, or None when the day's budget does not cover the call."""
        ...

    async def settle(self, receipt: int, usage: Usage) -> None:
        """Replace the worst price by what the call took."""
        ...

    async def note(self, operation: str, subject: str, usage: Usage) -> None:
        """Write down what cost nothing: an answer from the cache, a call that was not made."""
        ...
