"""ASSURANCE F01, the soak: agents, a person and dispatchers at once, killed at random; none lost, doubled, unsigned."""

import os
import random
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from opspilot_mcp import clock
from opspilot_mcp.gate.dispatch import LEASE_MS
from tests.assurance import invariant, soak
from tests.assurance.forks import open_forks
from tests.assurance.soak import Plan, Street, Wires, open_wires
from tests.gate.conftest import MINUTE, House, make_house

SHORT = Plan(agents=2, messages=4, dispatchers=2, seconds=4, kill_every_s=1.2)
LONG = Plan(agents=4, messages=50, dispatchers=3, seconds=120, kill_every_s=1.5)


async def soaked(root: Path, plan: Plan, wires: Wires) -> Street:
    """Run a plan on a new home, then let dispatchers take back what was killed in the middle of a send."""
    house = await make_house(root)
    try:
        (root / "policy.toml").write_text(soak.POLICY)
        house.gate.home.settings.write_text(wires.settings)
        await house.reopen(now=clock.now_ms())
        street = Street(house, plan, random.Random(200))
        await soak.run(street)
        with open_forks(dict(os.environ)) as forks:
            for later in (LEASE_MS + MINUTE, 2 * LEASE_MS):
                forks.one(root, clock.now_ms() + later)
    finally:
        await house.gate.close()
        await house.desk.close()
    return street


def states(house: House) -> dict[str, str]:
    """Return the state of each message's newest version, by id."""
    raw = sqlite3.connect(house.root / "gate" / "gate.db")
    try:
        return {
            f"PR-{number}": state for number, state in raw.execute("SELECT proposal, state FROM messages ORDER BY id")
        }
    finally:
        raw.close()


def check(street: Street, wires: Wires, capsys: pytest.CaptureFixture[str]) -> None:
    left = invariant.check(street.house.root, wires.once)  # signed, and each once: or it fails there
    found = states(street.house)
    raw = Counter(found.values())
    with capsys.disabled():
        print(f"\nsoak: {dict(street.counted)}; states {dict(raw)}; {len(left)} left")  # noqa: T201 - counts to report

    assert len(street.ids) == len(set(street.ids.values())) == street.plan.agents * street.plan.messages
    assert set(found) == set(street.ids.values())  # none lost, none made twice
    assert set(raw) <= {"sent", "uncertain", "withdrawn"}
    assert {one for one, state in found.items() if state == "sent"} <= set(left)
    assert [one for one in left if found[one] == "withdrawn"] == []


async def test_f01_short_soak_loses_doubles_and_forges_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_wires() as wires:
        street = await soaked(tmp_path / "home", SHORT, wires)

    check(street, wires, capsys)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_f01_two_minutes_of_kills_lose_double_and_forge_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_wires() as wires:
        street = await soaked(tmp_path / "home", LONG, wires)

    check(street, wires, capsys)
    assert street.counted["servers killed"] >= 10
    assert street.counted["dispatchers killed"] >= 10
