from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opspilot_mcp.engines import Letter, Taxonomy
from opspilot_mcp.engines.anthropic_api import AnthropicEngine
from opspilot_mcp.engines.pricing import price_of
from opspilot_mcp.insights.ledger import DeskPurse
from opspilot_mcp.store.db import Db, open_db
from opspilot_mcp.store.kept_answers import KeptAnswers
from opspilot_mcp.store.schema import DESK
from tests.conftest import NOON
from tests.engines.api_server import ApiServer

MODEL = "claude-haiku-5-5"
LETTER = Letter(
    ticket="T-1", subject="Charged twice", body="You charged me twice. Refund please.", requester_name="Ada"
)
TAXONOMY = Taxonomy(categories={"billing": "invoices and payments", "technical": ""}, tags=("refund", "login"))

Make = Callable[..., AnthropicEngine]


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer().running() as server:
        yield server


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Db]:
    async with open_db(tmp_path / "books.db", DESK) as opened:
        yield opened


@pytest.fixture
async def make(api: ApiServer, books: Db) -> AsyncIterator[Make]:
    """Make engines against the loopback API with a real ledger; a dollar a day unless told."""
    made: list[AnthropicEngine] = []

    def build(*, daily_usd: float = 1.0, **options: Any) -> AnthropicEngine:
        model = options.pop("model", MODEL)
        usual: dict[str, Any] = {
            "price": price_of(model),
            "purse": DeskPurse(books, lambda: NOON, daily_usd=daily_usd),
            "cache": KeptAnswers(books, lambda: NOON),
            "base_url": api.url,
            "deadline_s": 10.0,
        }
        made.append(AnthropicEngine("test-key", model=model, **(usual | options)))
        return made[-1]

    yield build
    for engine in made:
        await engine.close()
