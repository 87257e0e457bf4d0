"""The command line as a person runs it: the same functions, in a home of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from opspilot_mcp import cli


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder OPSPILOT_HOME names."""
    folder = tmp_path / "home"
    monkeypatch.setenv("OPSPILOT_HOME", str(folder))
    return folder


@pytest.fixture
def run(home: Path) -> Callable[..., int]:
    """Run one command and return its exit code."""

    def command(*argv: str | Path) -> int:
        assert home
        return cli.run([str(word) for word in argv])

    return command
