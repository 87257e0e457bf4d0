"""What a ticket costs: two calls as the seed did, one call, the cascade, and a batch, over a loopback API.

    python -m benchmarks.engine_cost [--file TICKETS.jsonl[.gz]] [--limit 200] [--json]

Requests are the real ones, over HTTP, through the real ledger. Tokens are the loopback's: UTF-8 bytes / 3, a stand-in
on the dear side (English is usually at 4 and more). Output is a full reading and a 150-word reply. Prices are the
table in `opspilot_mcp/engines/pricing.py`. Latency is what this side of the wire adds, not the model's.
"""

import argparse
import asyncio
import gzip
import json
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from opspilot_mcp import clock, packaged
from opspilot_mcp.desk import triage
from opspilot_mcp.engines import Brief, Letter, Taxonomy
from opspilot_mcp.engines.anthropic_api import AnthropicEngine
from opspilot_mcp.engines.pricing import price_of
from opspilot_mcp.insights import ledger
from opspilot_mcp.insights.ledger import AiUsage, DeskPurse
from opspilot_mcp.policy import Policy
from opspilot_mcp.store.db import Db, open_db
from opspilot_mcp.store.kept_answers import KeptAnswers
from opspilot_mcp.store.schema import DESK
from tests.engines.api_server import ApiServer, answer_reading

POLICY = Policy()
TAXONOMY = Taxonomy(categories=dict.fromkeys(POLICY.desk.categories, ""))
REPLY = "Thank you for writing, we have it. " * 26  # 910 characters, about 150 words
DRAFTED = Brief(category="other", priority="P3", first_response_minutes=1440)
SEED_USD = 0.00169  # the seed's two calls on claude-haiku-4-5 at list prices

Way = Callable[[AnthropicEngine, list[Letter]], Awaitable[int]]


def letters_of(path: Path, limit: int) -> list[Letter]:
    """Return the first `limit` tickets of a JSONL file whose rows have `subject` and `body`, or `text`."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for _, line in zip(range(limit), lines, strict=False)]
    return [
        Letter(ticket=f"T-{at}", subject=row.get("subject") or "", body=row.get("body") or row.get("text") or "")
        for at, row in enumerate(rows, 1)
    ]


async def two_calls(engine: AnthropicEngine, letters: list[Letter]) -> int:
    for letter in letters:
        await engine.read(letter, TAXONOMY)
        await engine.draft(letter, DRAFTED)
    return len(letters)


async def one_call(engine: AnthropicEngine, letters: list[Letter]) -> int:
    for letter in letters:
        await engine.read(letter, TAXONOMY)
    return len(letters)


async def cascade(engine: AnthropicEngine, letters: list[Letter]) -> int:
    asked = [letter for letter in letters if _is_unsure(letter)]
    return await one_call(engine, asked)


def _is_unsure(letter: Letter) -> bool:
    return triage.read(letter.subject, letter.body, POLICY).confidence < POLICY.gate.threshold


async def batch(engine: AnthropicEngine, letters: list[Letter]) -> int:
    done = await engine.submit(letters, TAXONOMY)
    assert done.batch is not None
    assert await engine.collect(done.batch, TAXONOMY) is not None
    return len(letters)


async def measure(api: ApiServer, folder: Path, way: Way, model: str, letters: list[Letter]) -> dict[str, Any]:
    """Return what one way costs over all tickets, asked or not, from the ledger it wrote."""
    async with open_db(folder / f"{way.__name__}-{model}.db", DESK) as books:
        purse = DeskPurse(books, clock.now_ms, daily_usd=100.0)
        engine = AnthropicEngine(
            "loopback",
            model=model,
            price=price_of(model),
            purse=purse,
            cache=KeptAnswers(books, clock.now_ms),
            base_url=api.url,
        )
        asked = await way(engine, letters)
        await engine.close()
        used = await _used(books)
    tokens_in, tokens_out = (
        sum(getattr(line, name) for line in used.lines) for name in ("input_tokens", "output_tokens")
    )
    p95 = max((line.latency_p95_ms for line in used.lines), default=0.0)
    each = used.cost_usd / len(letters)
    return {
        "way": way.__name__,
        "model": model,
        "tickets": len(letters),
        "asked": asked,
        "calls": used.calls,
        "tokens_in_per_ticket": round(tokens_in / len(letters), 1),
        "tokens_out_per_ticket": round(tokens_out / len(letters), 1),
        "usd_per_ticket": round(each, 8),
        "share_of_seed": round(each / SEED_USD, 4),
        "p95_ms": round(p95, 1),
    }


async def _used(books: Db) -> AiUsage:
    now = clock.now_ms()
    return await books.read(ledger.usage, now - clock.DAY_MS, now)


def _answer(request: dict[str, Any]) -> str:
    if "output_config" not in request:
        return REPLY
    said: dict[str, Any] = json.loads(answer_reading(request))
    return json.dumps(said | {"category": "technical"})


async def run(letters: list[Letter]) -> list[dict[str, Any]]:
    api = ApiServer()
    api.answer = _answer
    ways: list[tuple[Way, str]] = [
        (two_calls, "claude-haiku-4-5"),
        (two_calls, "claude-haiku-5-5"),
        (one_call, "claude-haiku-5-5"),
        (cascade, "claude-haiku-5-5"),
        (batch, "claude-haiku-5-5"),
    ]
    with api.running(), tempfile.TemporaryDirectory() as folder:
        return [await measure(api, Path(folder), way, model, letters) for way, model in ways]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, default=packaged.data_folder() / "tickets.jsonl")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = asyncio.run(run(letters_of(given.file, given.limit)))
    if given.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{given.file.name}, {found[0]['tickets']} tickets")
    print(
        f"{'way':<10} {'model':<17} {'asked':>5} {'in':>7} {'out':>6} {'$ a ticket':>11} {'of seed':>8} {'p95 ms':>7}"
    )
    for row in found:
        print(
            f"{row['way']:<10} {row['model']:<17} {row['asked']:>5} {row['tokens_in_per_ticket']:>7} "
            f"{row['tokens_out_per_ticket']:>6} {row['usd_per_ticket']:>11.7f} {row['share_of_seed']:>7.1%} "
            f"{row['p95_ms']:>7}"
        )


if __name__ == "__main__":
    main()
