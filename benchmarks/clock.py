"""Deadlines a second: around the clock, and in a calendar with a lunch hour, holidays and changes of the clock.

    python -m benchmarks.clock [--tickets N]

Each ticket came at another instant of one year and has two targets. Laying out a calendar's days is part of it.
"""

import argparse
import random
import time
from datetime import date, timedelta

from opspilot_mcp.clock import DAY_MS, HOUR_MS
from opspilot_mcp.desk import sla
from opspilot_mcp.policy import Policy

_NEW_YEAR = 1_767_225_600_000  # 2026-01-01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=50_000)
    count = parser.parse_args().tickets
    dice = random.Random(7)
    arrivals = [_NEW_YEAR + dice.randrange(365 * DAY_MS) for _ in range(count)]
    pauses = [(one + HOUR_MS, one + (1 + dice.randrange(72)) * HOUR_MS) for one in arrivals]
    for name, policy in (("around the clock", Policy()), ("office hours", office())):
        plain, waited = rate(arrivals, policy, []), rate(arrivals, policy, pauses)
        print(f"{name:<20} {plain:>9,.0f} deadlines/s, {waited:>9,.0f} with a pause each")


def rate(arrivals: list[int], policy: Policy, pauses: list[sla.Pause]) -> float:
    """Return deadlines computed a second of CPU time, two a ticket."""
    began = time.process_time()
    for number, created in enumerate(arrivals):
        sla.targets(created, "P3", policy, pauses[number : number + 1])
    return 2 * len(arrivals) / (time.process_time() - began)


def office() -> Policy:
    """Return a policy whose P3 is held to office hours in Berlin, with twelve holidays."""
    hours = {day: ["08:00-12:00", "13:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}
    holidays = [date(2026, 1, 1) + timedelta(days=30 * number) for number in range(12)]
    promises = Policy().sla | {
        "P3": {"first_response_minutes": 480, "resolution_minutes": 2400, "calendar": "office"},
    }
    calendar = {"zone": "Europe/Berlin", "holidays": holidays, "hours": hours}
    return Policy.model_validate({"calendars": {"office": calendar}, "sla": promises})


if __name__ == "__main__":
    main()
