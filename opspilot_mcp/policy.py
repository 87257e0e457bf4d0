"""The desk's policy file: categories, calendars, SLA, routing, the triage gate, channel aliases, limits.

`policy.toml` is read once at start. An unknown or wrong key stops the process with its name and line.
"""

import tomllib
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from opspilot_mcp import calendars
from opspilot_mcp.calendars import Calendar
from opspilot_mcp.errors import BadSetting, first_fault

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
PriorityName = Literal["P1", "P2", "P3", "P4"]

_TEN_YEARS = 522  # weeks
_MOST_HOLIDAYS = 1_000


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeskPart(_Part):
    """What this desk's tickets can be about."""

    categories: tuple[Name, ...] = ("billing", "technical", "account", "feature_request", "other")

    @field_validator("categories")
    @classmethod
    def _are_distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not 2 <= len(value) <= 100 or len(set(value)) != len(value):
            raise ValueError("must be 2 to 100 different names")
        return value


class HoursPart(_Part):
    """Open spans of the local wall clock by weekday; a day left out is closed."""

    mon: tuple[str, ...] = ()
    tue: tuple[str, ...] = ()
    wed: tuple[str, ...] = ()
    thu: tuple[str, ...] = ()
    fri: tuple[str, ...] = ()
    sat: tuple[str, ...] = ()
    sun: tuple[str, ...] = ()

    @field_validator("*", mode="before")
    @classmethod
    def _are_spans(cls, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            raise ValueError('must be a list of spans, such as ["08:00-12:00", "13:00-17:00"]')
        calendars.spans(value)
        return tuple(value)


class CalendarPart(_Part):
    """When a desk is open."""

    zone: str
    holidays: tuple[date, ...] = Field(default=(), max_length=_MOST_HOLIDAYS)
    hours: HoursPart

    @field_validator("zone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        return str(calendars.zone(value))

    @field_validator("holidays", mode="before")
    @classmethod
    def _are_dates(cls, value: Any) -> tuple[date, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError('must be a list of local dates, such as ["2026-12-25"]')
        return tuple(calendars.holiday(one) for one in value)

    @model_validator(mode="after")
    def _opens(self) -> "CalendarPart":
        if not self.clock.week_minutes:
            raise ValueError("is never open: give at least one weekday a span under its hours")
        return self

    @cached_property
    def clock(self) -> Calendar:
        """The calendar to count with."""
        week = tuple(calendars.spans(getattr(self.hours, day)) for day in calendars.WEEKDAYS)
        return Calendar(calendars.zone(self.zone), week, frozenset(self.holidays))


class Promise(_Part):
    """Minutes to the first response and to the resolution, of the calendar's open hours where one is named."""

    first_response_minutes: int = Field(ge=1, le=525_600)
    resolution_minutes: int = Field(ge=1, le=525_600)
    calendar: Name | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Promise":
        if self.resolution_minutes < self.first_response_minutes:
            raise ValueError("resolution_minutes must not be less than first_response_minutes")
        return self


def _default_sla() -> dict[PriorityName, Promise]:
    minutes: dict[PriorityName, tuple[int, int]] = {
        "P1": (60, 240),
        "P2": (240, 1440),
        "P3": (1440, 4320),
        "P4": (4320, 10_080),
    }
    return {
        name: Promise(first_response_minutes=first, resolution_minutes=last) for name, (first, last) in minutes.items()
    }


class RoutingPart(_Part):
    """Where a ticket starts: the tier by priority, the owning queue by category."""

    tiers: dict[PriorityName, Literal["L1", "L2", "L3"]] = {"P1": "L3", "P2": "L2", "P3": "L1", "P4": "L1"}
    owners: dict[str, Name] = {}


class GatePart(_Part):
    """When a ticket may be routed without a person."""

    cold_start: Literal["rules", "human"] = "rules"
    threshold: float = Field(default=0.7, gt=0, le=1)
    alpha: float = Field(default=0.10, gt=0, lt=1)
    delta: float = Field(default=0.10, gt=0, lt=1)
    audit_rate: float = Field(default=0.10, ge=0, le=1)
    agent_labels: bool = False
    p1_miss: float = Field(default=0.05, gt=0, lt=1)
    p1_most_flagged: float = Field(default=0.25, ge=0, le=1)


class PricePart(_Part):
    """A model's price in US dollars per million tokens, over the built-in table."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float = Field(ge=0)
    cache_write: float = Field(ge=0)


class EnginePart(_Part):
    """What a model may cost and read, when a key is set."""

    masked: bool = True
    daily_usd: float = Field(default=1.0, ge=0, le=10_000)
    prices: dict[str, PricePart] = {}


class LimitsPart(_Part):
    """How much may be asked of people in an hour."""

    proposals_per_hour: int = Field(default=60, ge=1, le=100_000)


class _Misplaced(ValueError):
    """What only the whole file shows to be wrong, with the dotted key it is about."""

    def __init__(self, key: str, says: str) -> None:
        super().__init__(says)
        self.key = key


class Policy(_Part):
    """Everything the operator decides. The defaults are a working desk."""

    desk: DeskPart = DeskPart()
    calendars: dict[Name, CalendarPart] = {}
    sla: dict[PriorityName, Promise] = Field(default_factory=_default_sla)
    routing: RoutingPart = RoutingPart()
    gate: GatePart = GatePart()
    channels: dict[Name, Literal["file", "smtp", "slack", "webhook"]] = {"replies": "file", "oncall": "file"}
    engine: EnginePart = EnginePart()
    limits: LimitsPart = LimitsPart()

    @model_validator(mode="after")
    def _is_whole(self) -> "Policy":
        for table, wanted in (("sla", self.sla), ("routing.tiers", self.routing.tiers)):
            missing = [name for name in ("P1", "P2", "P3", "P4") if name not in wanted]
            if missing:
                raise ValueError(f"[{table}] lacks {', '.join(missing)}")
        unknown = sorted(set(self.routing.owners) - set(self.desk.categories))
        if unknown:
            raise ValueError(f"[routing.owners] names {', '.join(unknown)}, which [desk] categories does not")
        if "replies" not in self.channels:
            raise ValueError("[channels] lacks replies, the alias that answers go through")
        for name, promise in self.sla.items():
            self._can_keep(name, promise)
        return self

    def _can_keep(self, name: PriorityName, promise: Promise) -> None:
        """Refuse a calendar that is not there, or whose hours would put the target out of reach."""
        if promise.calendar is None:
            return
        if promise.calendar not in self.calendars:
            known = ", ".join(sorted(self.calendars)) or "none yet"
            raise _Misplaced(f"sla.{name}.calendar", f"names no calendar under [calendars], known: {known}")
        clock = self.calendars[promise.calendar].clock
        # A bound without a day to begin on: as if every holiday of the list stood in the way.
        if promise.resolution_minutes + clock.holiday_minutes > _TEN_YEARS * clock.week_minutes:
            says = f"needs more than ten years of the calendar {promise.calendar}: open it longer, or promise less"
            raise _Misplaced(f"sla.{name}.resolution_minutes", says)

    def clock_of(self, priority: PriorityName | None) -> Calendar | None:
        """Return the calendar a priority is held to; None is around the clock. Without a priority it is P1's."""
        name = self.sla[priority or "P1"].calendar
        return None if name is None else self.calendars[name].clock

    def hours_of(self, priority: PriorityName | None) -> str:
        """Return what a priority's time is counted in, such as `office hours, Europe/Berlin`."""
        name = self.sla[priority or "P1"].calendar
        return "around the clock" if name is None else f"{name} hours, {self.calendars[name].zone}"

    def owner(self, category: str | None) -> str | None:
        """Return the queue that owns a category; None when nobody was named."""
        return self.routing.owners.get(category) if category else None


def load(path: Path) -> Policy:
    """Return the policy in `path`, or the defaults where there is no file. Raises BadSetting with key and line."""
    if not path.exists():
        return Policy()
    try:
        raw = path.read_text(encoding="utf-8")
        return Policy.model_validate(tomllib.loads(raw))
    except UnicodeDecodeError:
        raise BadSetting(f"{path.name} is not UTF-8 text. Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise BadSetting(f"{path.name} is not TOML: {error}. Correct that line.") from None
    except RecursionError:
        raise BadSetting(f"{path.name} is nested too deeply. Write plain tables and lists.") from None
    except ValidationError as error:
        raise BadSetting(_explain(path.name, raw, error)) from None
    except OSError as error:
        raise BadSetting(f"Cannot read {path}: {error.strerror}. Check its owner and mode.") from error


def _explain(name: str, raw: str, error: ValidationError) -> str:
    place, says = first_fault(error)
    # A place in a list has no line of its own: the key that holds the list has.
    keys = _misplaced(error) or [str(key) for key in place if isinstance(key, str) and not key.startswith("[")]
    where = f"{name} line {line}" if (line := _line_of(raw, keys)) else name
    return f"{where}: {'.'.join(keys) or 'the file'} {says}. Correct or remove it."


def _misplaced(error: ValidationError) -> list[str]:
    cause = error.errors(include_url=False)[0].get("ctx", {}).get("error")
    return cause.key.split(".") if isinstance(cause, _Misplaced) else []


def _line_of(raw: str, keys: list[str]) -> int | None:
    """Return the line that sets the last of `keys`, or the table it is missing in, where that can be told."""
    while keys:
        if (line := _line_of_key(raw, keys)) is not None:
            return line
        keys = keys[:-1]
    return None


def _line_of_key(raw: str, keys: list[str]) -> int | None:
    table, lines = ".".join(keys[:-1]), raw.splitlines()
    inside = not table
    for at, line in enumerate(lines, 1):
        bare = line.strip()
        if bare.startswith("["):
            header = bare.split("]")[0].strip("[ ")
            if header == ".".join(keys):
                return at
            inside = header == table
        elif inside and bare.split("=")[0].strip().strip("\"'") == keys[-1]:
            return at
    return None
