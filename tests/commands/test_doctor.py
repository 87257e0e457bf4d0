"""`doctor` says what each priority is held to: minutes, and the hours they are counted in."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

CALENDAR = """\
[calendars.office]
zone = "Europe/Berlin"
holidays = ["2026-12-26", "2026-12-25"]
hours = { mon = ["08:00-12:00", "13:00-17:30"] }
[sla]
P1 = { first_response_minutes = 60, resolution_minutes = 240 }
P2 = { first_response_minutes = 45, resolution_minutes = 1440 }
P3 = { first_response_minutes = 480, resolution_minutes = 2430, calendar = "office" }
P4 = { first_response_minutes = 480, resolution_minutes = 2430 }
"""


def test_doctor_names_the_calendars_and_what_each_priority_is_held_to(
    run: Callable[..., int], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir(mode=0o700)
    (home / "policy.toml").write_text(CALENDAR)

    run("doctor", "--json")

    said = {one["name"]: one["says"] for one in json.loads(capsys.readouterr().out)}
    assert said["calendar"] == "office: Europe/Berlin, open 8 h 30 min a week, last holiday 2026-12-26."
    assert said["clock P2"] == "First response in 45 min, resolution in 24 h, around the clock."
    assert said["clock P3"] == "First response in 8 h, resolution in 40 h 30 min, office hours, Europe/Berlin."
