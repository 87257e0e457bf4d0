"""What the pages show is what the program does: examples load, the assurance table names the tests that exist.

After a wanted change: `UPDATE_SNAPSHOTS=1 pytest tests/test_docs.py`, then read the diff.
"""

import difflib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from opspilot_mcp.aiops import formats, payloads, runbooks
from opspilot_mcp.aiops.topology import Topology
from opspilot_mcp.engines import templates
from opspilot_mcp.gate.policy import GatePolicy
from opspilot_mcp.packaged import data_folder
from opspilot_mcp.policy import Policy

ROOT = Path(__file__).parent.parent
SECURITY = ROOT / "docs" / "security.md"
_ROW = re.compile(r"^\| ([A-I]\d\d) \| ([^|]+) \| ([^|]+) \|(.*)\|$", re.MULTILINE)
_TEST = re.compile(r"def test_([a-i]\d\d)_")
_ROWS = (
    "A01 A02 A03 A08 A09 A10 A11 A12 B01 B05 B07 B08 B10 B11 B12 B13 B17 B18 C01 C02 C03 C04 C07 C08 D01 "
    "D02 D05 D08 D10 E05 E06 E08 E11 E12 E14 E15 E16 E18 E19 E20 F01 F03 F04 F07 F09 F10 F11 G01 G02 G04 "
    "G06 G07 G09 G11 H01 H02 I01 I02 I04 I05 I07 I08 I09 I10"
)


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """Return the fenced examples of a page in one language."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)
    return [text for of, text in fences if of == language]


# -- the assurance table -----------------------------------------------------------------------------------------------


def files_by_row() -> dict[str, list[str]]:
    """Return for each assurance id the test files that hold a test named after it."""
    found: dict[str, list[str]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for row in sorted(set(_TEST.findall(file.read_text(encoding="utf-8")))):
            found.setdefault(row.upper(), []).append(str(file.relative_to(ROOT)))
    return found


def table_as_it_should_be() -> str:
    known = files_by_row()

    def row(match: re.Match[str]) -> str:
        files = [f"[{name.removeprefix('tests/')}](../{name})" for name in known.get(match[1], [])]
        return f"| {match[1]} | {match[2]} | {', '.join(files) or 'none yet'} |{match[4]}|"

    return _ROW.sub(row, page("docs/security.md"))


def test_the_assurance_table_names_the_tests_that_exist() -> None:
    wanted = table_as_it_should_be()
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SECURITY.write_text(wanted, encoding="utf-8")

    assert page("docs/security.md") == wanted, "UPDATE_SNAPSHOTS=1 pytest tests/test_docs.py writes it anew"


def test_every_assurance_row_stands_in_the_table_once() -> None:
    rows = [match[1] for match in _ROW.finditer(page("docs/security.md"))]

    assert " ".join(rows) == _ROWS
    assert set(files_by_row()) <= set(rows)


# -- examples ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", [*blocks("docs/settings.md", "toml"), *blocks("docs/gate.md", "toml")])
def test_the_gate_settings_shown_are_valid(example: str) -> None:
    assert GatePolicy.model_validate(tomllib.loads(example)).channels


@pytest.mark.parametrize("example", blocks("docs/cli.md", "yaml"))
def test_the_topology_shown_can_be_imported(example: str) -> None:
    assert Topology.from_json(yaml.safe_load(example)).services


@pytest.mark.parametrize("example", blocks("docs/extending.md", "toml"))
def test_the_policy_shown_is_valid(example: str) -> None:
    assert Policy.model_validate(tomllib.loads(example)).desk.categories


def test_the_runbook_and_macro_shown_can_be_read() -> None:
    macro, runbook = blocks("docs/extending.md", "markdown")

    assert runbooks.parse(runbook, slug="example").steps
    assert templates.parse(macro, name="example.md").languages


@pytest.mark.parametrize("name", formats.NAMES)
def test_every_alert_format_is_named(name: str) -> None:
    assert f"`{name}`" in page("docs/cli.md")


@pytest.mark.parametrize("example", blocks("docs/extending.md", "python"))
def test_the_code_shown_is_code(example: str) -> None:
    names: dict[str, Any] = {"__name__": "example"}

    exec(compile(example, "docs/extending.md", "exec"), names)  # noqa: S102 - our own page

    assert names.keys() & {"TOOLS", "healthcheck", "send"}


def test_the_alert_format_shown_reads_its_payload() -> None:
    example = next(block for block in blocks("docs/extending.md", "python") if "def healthcheck" in block)
    names: dict[str, Any] = {}

    exec(compile(example, "docs/extending.md", "exec"), names)  # noqa: S102 - our own page
    fields = next(iter(names["healthcheck"]({"check": "Ping", "state": "down", "service": "shop"}, 1_000)))

    assert payloads.alert_of(fields, 1_000).status == "firing"


def test_the_packaged_policy_is_the_defaults_written_out() -> None:
    written = Policy.model_validate(tomllib.loads((data_folder() / "policy.toml").read_text(encoding="utf-8")))
    defaults = Policy().model_dump()

    assert written.model_dump(exclude={"routing": {"owners"}}) == {
        **defaults,
        "routing": {"tiers": defaults["routing"]["tiers"]},
    }


# -- the demo ----------------------------------------------------------------------------------------------------------

_SPAN = re.compile(r"-?\d+ (?:d \d+ h|h \d\d min|min|s)")


def plain(line: str) -> str:
    """Return a line of output without what differs from run to run: spans of time, digests, folders, padding."""
    line = _SPAN.sub("SPAN", line)
    line = re.sub(r"\b[0-9a-f]{64}\b", "DIGEST", line)
    line = re.sub(r"\S*/gate/sent/", "SENT/", line)
    return " ".join(line.split())


def demo_lines() -> list[str]:
    """Return what the demo prints, in 100 columns."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPSPILOT_")}
    command = [sys.executable, "-m", "opspilot_mcp", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env | {"COLUMNS": "100"})
    return [line.rstrip() for line in done.stdout.splitlines()]


def nearest(line: str, printed: list[str]) -> str:
    """Return the line as it is printed now: itself, the one most like it, or the dots that stand for a cut."""
    if line in ("", "...") or plain(line) in map(plain, printed):
        return line
    return next(iter(difflib.get_close_matches(line, printed, n=1, cutoff=0.5)), "...")


def test_the_readme_shows_what_the_demo_prints() -> None:
    shown = next(block for block in blocks("README.md", "") if "OpsPilot demo" in block)
    printed = demo_lines()
    wanted = "".join(f"{nearest(line, printed)}\n" for line in shown.splitlines())
    if os.environ.get("UPDATE_SNAPSHOTS"):
        (ROOT / "README.md").write_text(page("README.md").replace(shown, wanted), encoding="utf-8")
        shown = wanted

    assert shown == wanted, "UPDATE_SNAPSHOTS=1 pytest tests/test_docs.py writes it anew; then read it"
