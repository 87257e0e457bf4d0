"""What a model charges: list prices by the date they were read, and what one call costs at them.

Prices change without a release of ours, so an operator's own table goes over this one. A model without a price is
refused: nobody can keep a budget over calls of unknown cost.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from opspilot_mcp.errors import BadSetting, quoted

_MILLION = 1_000_000


class Price(BaseModel):
    """US dollars per million tokens at list, for prompts under the size from which a model charges more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float = Field(ge=0)
    cache_write: float = Field(ge=0)
    batch_share: float = Field(default=0.5, gt=0, le=1)  # what a batch charges of the price
    # Whether a request may turn thinking off; where it may not, thinking is paid as output.
    thinking_off: bool = False


# Source: platform.claude.com, model overview and pricing pages, read on 2026-10-31.
PRICES: Mapping[str, Price] = {
    "claude-haiku-5-5": Price(input=0.10, output=0.50, cache_read=0.01, cache_write=0.125, thinking_off=True),
    "claude-haiku-4-5": Price(input=1.0, output=5.0, cache_read=0.10, cache_write=1.25, thinking_off=True),
    "claude-sonnet-5-5": Price(input=2.0, output=10.0, cache_read=0.10, cache_write=2.50),
    "claude-opus-5-5": Price(input=4.0, output=20.0, cache_read=0.20, cache_write=5.0),
}


class Tokens(BaseModel):
    """Tokens as the provider counts them: `input` holds neither those written to nor those read from its cache."""

    model_config = ConfigDict(frozen=True)

    input: int = 0
    output: int = 0
    cache_write: int = 0
    cache_read: int = 0


def price_of(model: str, overrides: Mapping[str, Price] | None = None) -> Price:
    """Return the model's price, the operator's first. Raises BadSetting for a model nobody has priced."""
    known, own = PRICES.get(model), (overrides or {}).get(model)
    # Another price does not change what a known model can do.
    found = own.model_copy(update={"thinking_off": known.thinking_off}) if own and known else own or known
    if found is None:
        raise BadSetting(
            f"OPSPILOT_MODEL is {quoted(model)}, which has no price here. "
            f"Use one of {', '.join(PRICES)}, or give its price."
        )
    return found


def cost_usd(tokens: Tokens, price: Price, *, is_batch: bool = False) -> float:
    """Return the dollars of one call."""
    dollars = (
        tokens.input * price.input
        + tokens.output * price.output
        + tokens.cache_write * price.cache_write
        + tokens.cache_read * price.cache_read
    ) / _MILLION
    return dollars * (price.batch_share if is_batch else 1.0)


def worst_usd(request_bytes: int, max_output_tokens: int, price: Price, *, is_batch: bool = False) -> float:
    """Return a bound on what a request can cost, before it is made.

    A token covers at least one byte of the request, so its bytes bound its input tokens; the provider frames a request
    with some hundred tokens of its own.
    """
    tokens = Tokens(input=request_bytes + 500, output=max_output_tokens)
    return cost_usd(tokens, price, is_batch=is_batch)
