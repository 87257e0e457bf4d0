"""What an API's answer says, checked: nothing in it counts that did not end by itself and fit the desk's words."""

from typing import Any

from pydantic import BaseModel, ValidationError

from opspilot_mcp.engines import Outcome, Reading
from opspilot_mcp.engines.pricing import Tokens
from opspilot_mcp.text import cap, clean

_CUT = ("max_tokens", "model_context_window_exceeded")
_DRAFT_CHARS = 4_000


def judged(answer: object, shape: type[BaseModel] | None) -> tuple[str | None, Outcome]:
    """Return what an answer says and how it ended. It says something only when it ended by itself and fits."""
    if not isinstance(answer, dict):
        return None, "malformed"
    stop = answer.get("stop_reason")
    if stop == "refusal":
        return None, "refused"
    if stop in _CUT:
        return None, "cut"
    said = _text_of(answer) if stop in ("end_turn", "stop_sequence") else ""
    if shape is None:
        said = cap(clean(said).strip(), _DRAFT_CHARS)[0]
        return (said, "ok") if said else (None, "malformed")
    try:
        return shape.model_validate_json(said).model_dump_json(), "ok"
    except ValidationError:
        return None, "malformed"


def _text_of(answer: dict[str, Any]) -> str:
    blocks = answer.get("content")
    texts = [block for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
    return "".join(str(block.get("text", "")) for block in texts if block.get("type") == "text")


def reading(said: str | None, shape: type[BaseModel] | None) -> Reading | None:
    """Return the reading in what was said, or None where it does not fit the shape."""
    if said is None or shape is None:
        return None
    try:
        found = shape.model_validate_json(said).model_dump()
    except ValidationError:
        return None
    return Reading.model_validate({**found, "tags": tuple(dict.fromkeys(found.get("tags", ())))})


def tokens(answer: object) -> Tokens:
    """Return the tokens an answer says it took; a count that is missing or not a number counts as none."""
    counts = answer.get("usage") if isinstance(answer, dict) else None
    counts = counts if isinstance(counts, dict) else {}

    def of(name: str) -> int:
        value = counts.get(name)
        return value if isinstance(value, int) and value >= 0 else 0

    return Tokens(
        input=of("input_tokens"),
        output=of("output_tokens"),
        cache_write=of("cache_creation_input_tokens"),
        cache_read=of("cache_read_input_tokens"),
    )
