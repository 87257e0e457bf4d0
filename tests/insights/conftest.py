"""A migrated desk in a file of its own, inside one open transaction."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from opspilot_mcp.store import migrate, sqlite
from opspilot_mcp.store.schema import DESK


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[Connection]:
    raw = sqlite.connect(tmp_path / "desk.db", readonly=False)
    with sqlite.engine_over(raw, begin="BEGIN IMMEDIATE").connect() as opened, opened.begin():
        migrate.upgrade(opened, DESK)
        yield opened
