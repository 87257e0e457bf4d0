"""How the console is started: on loopback only, without secrets, with a sentence where it cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from opspilot_mcp.console import app as console
from opspilot_mcp.errors import BadSetting


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "localhost", "::1", ""])  # noqa: S104 - refused
def test_it_listens_on_loopback_only(host: str) -> None:
    with pytest.raises(BadSetting, match="loopback"):
        console.listen(host, 0)


def test_a_taken_port_is_said_with_the_next_step() -> None:
    with console.listen(console.HOST, 0) as first, pytest.raises(BadSetting, match="Give another --port"):
        console.listen(console.HOST, first.getsockname()[1])


def test_channel_secrets_are_dropped_from_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSPILOT_GATE_SLACK", "secret")
    monkeypatch.setenv("OPSPILOT_GATE_DATABASE_URL", "postgresql://gate")

    console.forget_channel_secrets()

    assert "OPSPILOT_GATE_SLACK" not in os.environ
    assert os.environ["OPSPILOT_GATE_DATABASE_URL"] == "postgresql://gate"


def test_without_a_gate_it_says_how_to_make_one(tmp_path: Path) -> None:
    code = "import sys; from opspilot_mcp.console.app import main; sys.exit(main(sys.argv[1:]))"

    # A process of its own: `main` closes its memory and narrows its umask.
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), "0"], capture_output=True, text=True)

    assert done.returncode == 1
    assert "gate init" in done.stderr


def test_every_page_s_file_is_in_the_package() -> None:
    here = Path(console.__file__).parent

    assert {path.name for path in (here / "static").iterdir()} >= {"console.css", "pages.css", "console.js", "mark.svg"}
    assert len(list((here / "templates").glob("*.html"))) > 15
