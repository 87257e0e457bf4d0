"""Hostile arguments made from a tool's published schema, and a walk that finds words outside their fields."""

import random
from collections.abc import Iterator
from typing import Any

# Every hostile value carries it: an answer that repeats an input is found by this word.
MARKER = "zqHOSTILEqz"

_IDS = ["T-1", "T-2", "T-999999999999999", "INC-1", "PR-1", "PR-0", "t-1 ", "T-1\x1f", "T-٣", f"T-{MARKER}"]
_TEXTS = [
    MARKER,
    "",
    " ",
    f"{MARKER}\x00\x1b[2J\x07\u202e\U000e0041",
    f"{MARKER}\ud800",
    f"' OR 1=1; DROP TABLE tickets; -- {MARKER}",
    f"{{{MARKER}}} %s %(x)s {{0.__class__}}",
    f"../../{MARKER}",
    MARKER * 500,
    f"{MARKER}\u0301" * 300,
    "9" * 5000,
]
_NUMBERS = [-1, 0, 10**18, -(10**30), 10**400, 1.5, float("nan"), float("inf"), True]


def deep(levels: int) -> Any:
    value: Any = MARKER
    for _ in range(levels):
        value = [value]
    return value


_ODD: list[Any] = [None, [], {}, [MARKER], {MARKER: MARKER}, {"id": {"$ne": MARKER}}, deep(60), *_TEXTS, *_NUMBERS]


def arguments(schema: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return one call's arguments: mostly of the right shape with one or more things wrong."""
    properties: dict[str, Any] = schema.get("properties", {})
    required = set(schema.get("required", ()))
    made = {name: _value(name, of, rng) for name, of in properties.items() if name in required or rng.random() < 0.4}
    if rng.random() < 0.15 and made:
        made.pop(rng.choice(sorted(made)))
    if rng.random() < 0.15:
        made[rng.choice(["approved", "approver", "state", f"x_{MARKER}", "", "\x00"])] = rng.choice([True, MARKER, {}])
    return made


def _value(name: str, of: dict[str, Any], rng: random.Random) -> Any:
    if rng.random() < 0.2:
        return rng.choice(_ODD)
    return _right(name, of, rng)


def _right(name: str, of: dict[str, Any], rng: random.Random) -> Any:
    """Return a value of the right type, whose content is hostile where it may be."""
    kind = of.get("type")
    if "enum" in of:
        return rng.choice([*of["enum"], MARKER])
    if kind == "integer":
        # A call that waits for a person must not hold the run up.
        return 0 if name == "wait_s" else rng.choice([of.get("minimum", 1), of.get("maximum", 5), 1, *_NUMBERS])
    if kind == "boolean":
        return rng.choice([True, False, MARKER])
    if kind == "array":
        return [_item(of.get("items", {}), rng) for _ in range(rng.choice([0, 1, 3, 30]))]
    is_id = name == "id" or name.endswith(("_id", "similar_to"))
    return rng.choice(_IDS if is_id else _TEXTS)


def _item(of: dict[str, Any], rng: random.Random) -> Any:
    if of.get("type") != "object":
        return rng.choice(_TEXTS)
    alert = {"id": rng.choice(_TEXTS), "alertname": MARKER, "ts": rng.choice([1_700_000_000, *_NUMBERS, MARKER])}
    for field in ("labels", "severity", "service", "host", "status", "alerts", "data", "event_action", "Message"):
        if rng.random() < 0.3:
            alert[field] = rng.choice(_ODD)
    return rng.choice([alert, {}, {MARKER: MARKER}, {"alerts": [alert]}])


def misplaced(answer: Any, marker: str = MARKER, *, path: str = "", marked: bool = False) -> Iterator[str]:
    """Yield where `marker` stands in a string, or in a key, that no `untrusted_*` key leads to."""
    if isinstance(answer, dict):
        for key, value in answer.items():
            if marker in key:
                yield f"{path}.{key} (key)"
            yield from misplaced(value, marker, path=f"{path}.{key}", marked=marked or key.startswith("untrusted"))
    elif isinstance(answer, list):
        for at, value in enumerate(answer):
            yield from misplaced(value, marker, path=f"{path}[{at}]", marked=marked)
    elif isinstance(answer, str) and marker in answer and not marked:
        yield path


def strings(answer: Any) -> Iterator[str]:
    """Yield every string in an answer, keys too."""
    if isinstance(answer, dict):
        for key, value in answer.items():
            yield key
            yield from strings(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from strings(value)
    elif isinstance(answer, str):
        yield answer
