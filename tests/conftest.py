"""Fixtures every test may use: a fresh desk database, a fixed noon, an environment without settings."""

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client
from sqlalchemy import Connection

from opspilot_mcp.app import App
from opspilot_mcp.policy import Policy
from opspilot_mcp.server import build_server
from opspilot_mcp.settings import Settings
from opspilot_mcp.store import migrate, sqlite
from opspilot_mcp.store.db import Db, open_db
from opspilot_mcp.store.schema import DESK

NOON = int(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp() * 1000)  # a Monday
MINUTE = 60_000
HOUR = 60 * MINUTE


def pytest_configure() -> None:
    """Let Ctrl-C through: what runs in the background starts with it ignored, and hands that on to what it starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if (name.startswith("OPSPILOT_") and name != "OPSPILOT_BENCH") or name == "ANTHROPIC_API_KEY":
            monkeypatch.delenv(name)


@pytest.fixture
def policy() -> Policy:
    return Policy()


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Db]:
    async with open_db(tmp_path / "desk.db", DESK) as opened:
        yield opened


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[Connection]:
    """A connection inside one write transaction on a migrated desk: for room functions called directly."""
    raw = sqlite.connect(tmp_path / "rooms.db")
    engine = sqlite.engine_over(raw, begin="BEGIN IMMEDIATE")
    with engine.connect() as connection, connection.begin():
        migrate.upgrade(connection, DESK)
        yield connection
    raw.close()


class FakeClock:
    """A clock tests move by hand."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def app(db: Db, policy: Policy, tmp_path: Path, clock: FakeClock) -> App:
    return App(db=db, policy=policy, settings=Settings(home=tmp_path), principal="agent:test", now=clock)


@pytest.fixture
async def agent(app: App) -> AsyncIterator[Client[Any]]:
    """An MCP client in memory, on the newest protocol."""
    async with Client(build_server(lend(app))) as client:
        yield client


def lend(app: App) -> Callable[[], AbstractAsyncContextManager[App]]:
    """Return what `build_server` opens: an App that is open already and stays so."""

    @asynccontextmanager
    async def lent() -> AsyncIterator[App]:
        yield app

    return lent
