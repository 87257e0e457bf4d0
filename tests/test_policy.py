"""policy.toml is read once: what it promises can be kept, and what is wrong is named with its key and line."""

import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from opspilot_mcp import policy as policies
from opspilot_mcp.desk import sla
from opspilot_mcp.errors import BadSetting
from opspilot_mcp.policy import Policy

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = """\
[calendars.office]
zone = "Europe/Berlin"
holidays = ["2026-12-25", 2026-12-26]
[calendars.office.hours]
mon = ["08:00-12:00", "13:00-17:00"]
tue = ["08:00-12:00", "13:00-17:00"]

[sla.P1]
first_response_minutes = 60
resolution_minutes = 240
[sla.P2]
first_response_minutes = 60
resolution_minutes = 240
[sla.P3]
first_response_minutes = 480
resolution_minutes = 2400
calendar = "office"
[sla.P4]
first_response_minutes = 480
resolution_minutes = 2400
"""


def load(home: Path, text: str) -> Policy:
    (home / "policy.toml").write_text(text, encoding="utf-8")
    return policies.load(home / "policy.toml")


def test_a_priority_is_held_to_the_calendar_it_names_and_to_none_without(tmp_path: Path) -> None:
    policy = load(tmp_path, OFFICE)

    clock = policy.clock_of("P3")

    assert clock is not None
    assert (str(clock.zone), clock.week_minutes, len(clock.holidays)) == ("Europe/Berlin", 960, 2)
    assert (policy.clock_of("P1"), policy.clock_of(None)) == (None, None)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Europe/Berlin", "Berlin", "line 2: calendars.office.zone 'Berlin' is no time zone"),
        ('"2026-12-25"', '"2026-12-32"', "line 3: calendars.office.holidays '2026-12-32' is no date"),
        ('["2026-12-25", 2026-12-26]', '"2026-12-25"', "line 3: calendars.office.holidays must be a list"),
        ("2026-12-26]", "2026-12-26T09:00:00]", "line 3: calendars.office.holidays '2026-12-26 09:00:00' is no date"),
        ("2026-12-26]", "20261226]", "line 3: calendars.office.holidays '20261226' is no date"),
        ('tue = ["08:00', 'tue = ["20:00', "line 6: calendars.office.hours.tue '20:00-12:00' does not end after it"),
        ('tue = ["08:00-12:00"', 'tue = ["08:00-13:30"', "line 6: calendars.office.hours.tue '08:00-13:30' and"),
        ('tue = ["08:00-12:00", "13:00-17:00"]', 'tue = "8-17"', "line 6: calendars.office.hours.tue must be a list"),
        ("tue =", "tuesday =", "line 6: calendars.office.hours.tuesday is not a known key"),
        ("zone =", "zones =", "calendars.office.zone"),
        ('calendar = "office"', 'calendar = "ofice"', "line 17: sla.P3.calendar names no calendar under [calendars]"),
        ("[calendars.office]", '[calendars.x]\nhours = {}\nzone = "UTC"\n[calendars.office]', "line 1: calendars.x is"),
        ("[calendars.office]", "[calendars.Office]", "calendars.Office"),
        (
            "resolution_minutes = 2400\ncal",
            "resolution_minutes = 502000\ncal",
            "line 16: sla.P3.resolution_minutes needs",
        ),
    ],
)
def test_a_calendar_that_is_wrong_is_refused_with_key_and_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in OFFICE

    with pytest.raises(BadSetting) as refused:
        load(tmp_path, OFFICE.replace(old, new, 1))

    assert says in str(refused.value)
    assert str(refused.value).endswith("Correct or remove it.")
    assert "\n" not in str(refused.value)


def test_ten_years_of_a_calendar_are_the_most_a_target_may_need(tmp_path: Path) -> None:
    # 960 open minutes a week, none of which the two holidays (a Friday and a Saturday) take away.
    most = OFFICE.replace("resolution_minutes = 2400\ncal", f"resolution_minutes = {522 * 960}\ncal")

    load(tmp_path, most)

    with pytest.raises(BadSetting, match="ten years"):
        load(tmp_path, most.replace("2026-12-25", "2026-12-21"))  # a Monday


def test_the_policy_of_the_documentation_loads(tmp_path: Path) -> None:
    page = Path(__file__).parent.parent / "docs" / "clock.md"
    [written] = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)

    policy = load(tmp_path, written)

    friday, monday = (int(datetime(2026, 3, *at, tzinfo=BERLIN).timestamp() * 1000) for at in ((6, 11), (9, 16)))
    assert sla.targets(friday, "P3", policy).first_response_due_ms == monday
    assert policy.calendars["office"].clock.week_minutes == policy.sla["P3"].resolution_minutes
