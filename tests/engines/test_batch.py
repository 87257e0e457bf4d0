from typing import Any

import pytest

from opspilot_mcp.engines import Batch, Letter
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.insights import ledger
from opspilot_mcp.store.db import Db
from tests.conftest import NOON
from tests.engines.api_server import ApiServer, Step, error, succeeded
from tests.engines.conftest import LETTER, TAXONOMY, Make

LETTERS = [Letter(ticket=f"T-{number}", subject="Invoice", body=f"Invoice {number} is wrong.") for number in (1, 2, 3)]


async def _submit(engine: Any) -> Batch:
    done = await engine.submit(LETTERS, TAXONOMY)
    assert done.batch is not None
    return Batch.model_validate_json(done.batch.model_dump_json())


async def test_a_backlog_is_read_at_half_the_price(make: Make, books: Db) -> None:
    engine = make()
    batch = await _submit(engine)

    found = await engine.collect(batch, TAXONOMY)

    assert found is not None
    assert sorted(found) == ["T-1", "T-2", "T-3"]
    usage = found["T-1"].usage
    assert found["T-1"].reading is not None
    assert usage.cost_usd == pytest.approx((usage.input_tokens * 0.10 + usage.output_tokens * 0.50) / 2e6)
    spent = await books.read(ledger.spent_today, now=NOON)
    assert spent == pytest.approx(sum(answer.usage.cost_usd for answer in found.values()))


async def test_the_batch_sends_what_a_single_call_sends(make: Make, api: ApiServer) -> None:
    engine = make()
    await _submit(engine)
    await engine.read(LETTERS[0], TAXONOMY)

    batched, single = api.batches["msgbatch_1"][0]["params"], api.requests[0]
    for request in (batched, single):
        request["messages"] = None  # each call has a fence of its own
    assert batched == single


async def test_a_batch_on_its_way_answers_none(make: Make, api: ApiServer) -> None:
    engine = make()
    batch = await _submit(engine)
    api.polls_until_ended = 1

    assert await engine.collect(batch, TAXONOMY) is None
    assert await engine.collect(batch, TAXONOMY) is not None


async def test_another_process_can_collect(make: Make) -> None:
    batch = await _submit(make())

    found = await make().collect(batch, TAXONOMY)

    assert found is not None
    assert all(answer.reading for answer in found.values())


async def test_each_ticket_of_a_batch_can_fail_by_itself(make: Make, api: ApiServer, books: Db) -> None:
    engine = make()
    batch = await _submit(engine)
    api.results = lambda _: [
        {"custom_id": "T-1", "result": {"type": "errored", "error": error("api_error")}},
        succeeded("T-2", "not json"),
        {"custom_id": "T-99", "result": {"type": "expired"}},
    ]

    found = await engine.collect(batch, TAXONOMY)

    assert found is not None
    assert {ticket: answer.usage.outcome for ticket, answer in found.items()} == {
        "T-1": "error",
        "T-2": "malformed",
        "T-3": "error",
    }
    assert {row.outcome for row in await books.read(ledger.recent, 10)} == {"error", "malformed"}


async def test_what_was_read_before_is_not_submitted(make: Make, api: ApiServer) -> None:
    engine = make()
    await engine.read(LETTERS[0], TAXONOMY)

    done = await engine.submit(LETTERS, TAXONOMY)

    assert list(done.answers) == ["T-1"]
    assert [one["custom_id"] for one in api.batches["msgbatch_1"]] == ["T-2", "T-3"]


async def test_a_backlog_stops_at_the_budget(make: Make) -> None:
    done = await make(daily_usd=0.0002).submit(LETTERS, TAXONOMY)

    assert done.batch is not None
    assert list(done.batch.receipts) == ["T-1"]
    assert {answer.usage.outcome for answer in done.answers.values()} == {"over_budget"}


async def test_a_batch_that_is_not_taken_costs_nothing(make: Make, api: ApiServer, books: Db) -> None:
    api.then(Step(status=529, body=error("overloaded_error")))

    done = await make().submit(LETTERS, TAXONOMY)

    assert done.batch is None
    assert {answer.usage.outcome for answer in done.answers.values()} == {"error"}
    assert await books.read(ledger.spent_today, now=NOON) == 0


async def test_an_api_out_of_reach_keeps_the_batch_waiting(make: Make) -> None:
    batch = await _submit(make())

    assert await make(base_url="http://127.0.0.1:9").collect(batch, TAXONOMY) is None


async def test_a_backlog_past_the_limit_is_refused(make: Make) -> None:
    with pytest.raises(InvalidInput, match="at most 10000"):
        await make().submit([LETTER] * 10_001, TAXONOMY)
