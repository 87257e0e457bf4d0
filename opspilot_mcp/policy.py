"""The desk's policy file: categories, SLA, routing, the triage gate, channel aliases, limits.

`policy.toml` is read once at start. An unknown or wrong key stops the process with its name and line.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from opspilot_mcp.errors import BadSetting, first_fault

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
PriorityName = Literal["P1", "P2", "P3", "P4"]


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


class Promise(_Part):
    """Minutes to the first response and to the resolution."""

    first_response_minutes: int = Field(ge=1, le=525_600)
    resolution_minutes: int = Field(ge=1, le=525_600)

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


SlaPolicy = Mapping[PriorityName, Promise]


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


class Policy(_Part):
    """Everything the operator decides. The defaults are a working desk."""

    desk: DeskPart = DeskPart()
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
        return self

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
    keys = [str(key) for key in place if isinstance(key, str) and not key.startswith("[")]
    where = f"{name} line {line}" if (line := _line_of(raw, keys)) else name
    return f"{where}: {'.'.join(keys) or 'the file'} {says}. Correct or remove it."


def _line_of(raw: str, keys: list[str]) -> int | None:
    """Return the line that sets the last of `keys`, inside its table where that can be told."""
    if not keys:
        return None
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
