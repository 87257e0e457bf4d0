import pytest

from opspilot_mcp.engines.pricing import PRICES, Price, Tokens, cost_usd, price_of, worst_usd
from opspilot_mcp.errors import BadSetting
from opspilot_mcp.settings import DEFAULT_MODEL

HAIKU = PRICES["claude-haiku-5-5"]


def test_a_million_tokens_of_each_kind_cost_the_list_price() -> None:
    million = 1_000_000

    assert cost_usd(Tokens(input=million), HAIKU) == pytest.approx(0.10)
    assert cost_usd(Tokens(output=million), HAIKU) == pytest.approx(0.50)
    assert cost_usd(Tokens(cache_read=million), HAIKU) == pytest.approx(0.01)
    assert cost_usd(Tokens(cache_write=million), HAIKU) == pytest.approx(0.125)


def test_a_batch_costs_half() -> None:
    tokens = Tokens(input=1000, output=100)

    assert cost_usd(tokens, HAIKU, is_batch=True) == pytest.approx(cost_usd(tokens, HAIKU) / 2)


def test_the_default_model_has_a_price() -> None:
    assert price_of(DEFAULT_MODEL) == HAIKU


def test_the_operators_price_goes_over_ours() -> None:
    own = Price(input=9, output=9, cache_read=9, cache_write=9)

    assert price_of("claude-haiku-5-5", {"claude-haiku-5-5": own}).input == 9
    assert price_of("model-of-tomorrow", {"model-of-tomorrow": own}) == own


def test_the_operators_price_does_not_turn_a_models_thinking_on() -> None:
    own = Price(input=9, output=9, cache_read=9, cache_write=9)

    assert price_of("claude-haiku-5-5", {"claude-haiku-5-5": own}).thinking_off
    assert not price_of("claude-opus-5-5", {"claude-opus-5-5": own}).thinking_off


def test_a_model_without_a_price_is_refused_by_name() -> None:
    with pytest.raises(BadSetting, match="OPSPILOT_MODEL is 'gpt-4'"):
        price_of("gpt-4")


def test_the_worst_price_covers_a_token_a_byte_and_all_of_the_output() -> None:
    assert worst_usd(1000, 300, HAIKU) >= cost_usd(Tokens(input=1000, output=300), HAIKU)
