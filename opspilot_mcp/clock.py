"""The only place that reads the clock; everything else is given `now`."""

import time
from datetime import UTC, datetime

from opspilot_mcp.errors import InvalidInput

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

# 9999-12-31 in ms: past it datetime cannot format, and no real event carries it.
MAX_MS = 253_402_214_400_000

_NOT_A_TIME = "That is not a time. Write ISO 8601 such as 2026-01-31T09:00:00Z, or epoch seconds."


def now_ms() -> int:
    """Return the present instant as UTC milliseconds."""
    return time.time_ns() // 1_000_000


def iso(ms: int) -> str:
    """Return UTC milliseconds as ISO 8601 with `Z`, to the second."""
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_or_none(ms: int | None) -> str | None:
    """Return `iso(ms)`, or None where there is no instant."""
    return None if ms is None else iso(ms)


def parse_ms(value: object) -> int:
    """Return an instant given as ISO 8601 (a time without a zone is UTC) or epoch seconds, as UTC ms.

    Numbers past 10^11 are read as milliseconds already. Raises InvalidInput for anything else.
    """
    if isinstance(value, bool) or value is None or value == "":
        raise InvalidInput(_NOT_A_TIME)
    try:
        number = float(value) if isinstance(value, int | float) else float(str(value))
    except OverflowError:
        raise InvalidInput(_NOT_A_TIME) from None
    except ValueError:
        return _parse_iso(str(value))
    if not 0 <= number <= MAX_MS:  # also refuses NaN and infinity
        raise InvalidInput(_NOT_A_TIME)
    return int(number) if number > 1e11 else round(number * 1000)


def _parse_iso(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("z", "+00:00"))
    except ValueError:
        raise InvalidInput(_NOT_A_TIME) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        ms = round(moment.timestamp() * 1000)
    except (OverflowError, ValueError, OSError):
        ms = -1
    if not 0 <= ms <= MAX_MS:
        raise InvalidInput("A time is outside 1970 to 9999. Check the year.")
    return ms


def human_span(ms: int) -> str:
    """Return a span such as `2 h 05 min`, `3 d 4 h` or `45 s`; a negative span is given its minus sign."""
    sign, seconds = ("-" if ms < 0 else ""), abs(ms) // 1000
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{sign}{days} d {hours} h"
    if hours:
        return f"{sign}{hours} h {minutes:02d} min"
    return f"{sign}{minutes} min" if minutes else f"{sign}{rest} s"
