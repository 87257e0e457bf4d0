import pytest

from benchmarks import engine_cost
from opspilot_mcp import packaged


async def test_the_cascade_costs_a_hundredth_of_a_cent_a_ticket_or_less() -> None:
    letters = engine_cost.letters_of(packaged.data_folder() / "tickets.jsonl", 24)

    found = {(row["way"], row["model"]): row["usd_per_ticket"] for row in await engine_cost.run(letters)}

    assert found["cascade", "claude-haiku-5-5"] <= found["one_call", "claude-haiku-5-5"]
    assert found["batch", "claude-haiku-5-5"] * 2 == pytest.approx(found["one_call", "claude-haiku-5-5"], rel=0.01)
    assert found["cascade", "claude-haiku-5-5"] <= 0.0001
    assert found["two_calls", "claude-haiku-4-5"] > 0.00169
