"""Ids that say their kind: `T-17` a ticket, `INC-3` an incident, `PR-9` a proposal. The store keeps the number."""

import re

from opspilot_mcp.errors import InvalidInput

_NAMES = {"T": "ticket", "INC": "incident", "PR": "proposal"}
_SHAPE = re.compile(r"([A-Z]{1,3})-([1-9][0-9]{0,14})", re.ASCII)


def shown(kind: str, number: int) -> str:
    """Return the id as people and agents see it."""
    return f"{kind}-{number}"


def number(kind: str, value: str) -> int:
    """Return the number inside an id of `kind`. Raises InvalidInput for anything else."""
    match = _SHAPE.fullmatch(value.strip().upper())
    if not match or match.group(1) != kind:
        raise InvalidInput(f"That is no {_NAMES[kind]} id. Write it like {kind}-17.")
    return int(match.group(2))


def kind_of(value: str) -> str:
    """Return `T`, `INC` or `PR`. Raises InvalidInput when the id is none of them."""
    match = _SHAPE.fullmatch(value.strip().upper())
    if not match or match.group(1) not in _NAMES:
        raise InvalidInput("That is not an id. Write T-17 for a ticket or INC-3 for an incident.")
    return match.group(1)
