"""How a plain function becomes a tool: no titles, nulls left out, complaints in our words, nothing of ours leaked.

Every tool states all annotations and a shallow output schema: top-level keys and their JSON types, without `$ref`.
A test checks full answers against the real models.
"""

import logging
import secrets
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fastmcp import Context
from fastmcp.exceptions import FastMCPError, ToolError, ValidationError
from fastmcp.tools.base import ToolResult
from fastmcp.tools.function_tool import FunctionTool
from mcp_types import TextContent, ToolAnnotations
from mcp_types import Tool as WireTool
from pydantic import BaseModel, ConfigDict
from pydantic import ValidationError as PydanticValidationError

from opspilot_mcp.app import App
from opspilot_mcp.errors import OpsPilotError

log = logging.getLogger("opspilot_mcp")

Class = Literal["READ", "INTERNAL", "OUTBOUND"]

_ANNOTATIONS: dict[Class, ToolAnnotations] = {
    "READ": ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False),
    "INTERNAL": ToolAnnotations(
        read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
    ),
    "OUTBOUND": ToolAnnotations(
        read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
    ),
}


class Answer(BaseModel):
    """Base of every shape a model sees: frozen, and nulls are left out on the wire."""

    model_config = ConfigDict(frozen=True)


@dataclass(frozen=True)
class Spec:
    """One tool: its function, what it answers, its class and the profile it belongs to."""

    fn: Callable[..., Any]
    answer: type[Answer]
    kind: Class
    profile: Literal["desk", "aiops", "both"]


def app_of(ctx: Context) -> App:
    """Return the App the server's lifespan opened."""
    app = ctx.lifespan_context["app"]
    if not isinstance(app, App):
        raise TypeError("the lifespan did not open an App")
    return app


def tool_of(spec: Spec) -> FunctionTool:
    """Return the tool as it is published."""
    doc = " ".join((spec.fn.__doc__ or "").split())
    tool = DeskTool.from_function(
        spec.fn,
        description=doc,
        annotations=_ANNOTATIONS[spec.kind],
        meta={"class": spec.kind},
        output_schema=_shallow(spec.answer),
    )
    return tool.model_copy(update={"parameters": _plain(tool.parameters)})


class DeskTool(FunctionTool):
    """A tool as this house publishes it."""

    def to_mcp_tool(self, **overrides: Any) -> WireTool:
        return super().to_mcp_tool(**{"title": None, **overrides})

    def get_meta(self) -> dict[str, Any]:
        return dict(self.meta or {})

    def convert_result(self, raw_value: Any) -> ToolResult:
        if not isinstance(raw_value, Answer):
            return super().convert_result(raw_value)
        return ToolResult(
            content=[TextContent(type="text", text=raw_value.model_dump_json(exclude_none=True))],
            structured_content=raw_value.model_dump(mode="json", exclude_none=True),
        )

    async def run(self, arguments: dict[str, Any]) -> ToolResult:
        try:
            return await super().run(arguments)
        except ValidationError as refused:
            raise ToolError(_complaint(refused, self), log_level=logging.DEBUG) from None
        except FastMCPError:
            raise
        except OpsPilotError as told:
            raise ToolError(str(told), log_level=logging.DEBUG) from None
        except Exception as broken:
            number = secrets.token_hex(4)
            log.error("internal error %s in %s: %s", number, self.name, _where(broken))
            raise ToolError(
                f"Internal error {number}. Ask the operator to look for that number in the server's log."
            ) from None


def _where(broken: Exception) -> str:
    """Return an error's type and the lines it came through, without its message: that may quote a stranger."""
    frames = traceback.extract_tb(broken.__traceback__)[-6:]
    return " < ".join([type(broken).__name__, *(f"{Path(one.filename).name}:{one.lineno}" for one in reversed(frames))])


_SAYS = {
    "missing_argument": "is missing",
    "literal_error": "must be one of {expected}",
    "string_pattern_mismatch": "has the wrong form (pattern {pattern})",
    "string_too_long": "is longer than {max_length} characters",
    "string_too_short": "is shorter than {min_length} characters",
    "too_long": "has more than {max_length} entries",
    "too_short": "has fewer than {min_length} entries",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "string_type": "must be text",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
}


def _complaint(refused: ValidationError, tool: FunctionTool) -> str:
    """Say what was wrong with the arguments without repeating them: pydantic's own text shows the input."""
    known = tool.parameters.get("properties", {})
    cause = refused.__cause__
    errors = cause.errors(include_url=False, include_input=False) if isinstance(cause, PydanticValidationError) else []
    lines: list[str] = []
    for error in errors[:5]:
        name = str(error["loc"][0]) if error["loc"] else ""
        at = error["loc"][1] if len(error["loc"]) > 1 else None
        place = f"{name}[{at}]" if isinstance(at, int) else name
        says = _SAYS.get(error["type"], "is not valid").format(**error.get("ctx", {}))
        lines.append(f"{place} {says}" if name in known else "an argument is not a parameter of this tool")
    return f"{tool.name}: {'; '.join(lines) or 'the arguments are not valid'}. It takes: {', '.join(known)}."


def _shallow(model: type[BaseModel]) -> dict[str, Any]:
    """Return the top-level keys of a model's answer with their JSON type only."""
    full = model.model_json_schema(mode="serialization")
    properties: dict[str, Any] = {}
    for key, spec in full["properties"].items():
        arms = [arm for arm in spec.get("anyOf", [spec]) if arm.get("type") != "null"]
        arm = full["$defs"][arms[0]["$ref"].rsplit("/", 1)[1]] if "$ref" in arms[0] else arms[0]
        properties[key] = {"type": arm["type"]} if len(arms) == 1 and "type" in arm else {}
    return {"type": "object", "properties": properties}


def _plain(schema: Any, *, are_names: bool = False) -> Any:
    """Return an input schema without `title`; `T | None` becomes an optional T: models read it the same, for less."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if are_names:
        return {key: _plain(value) for key, value in schema.items()}
    out = {key: _plain(value, are_names=key == "properties") for key, value in schema.items() if key != "title"}
    arms = [arm for arm in out.get("anyOf", []) if arm != {"type": "null"}]
    if len(arms) == 1 and len(out["anyOf"]) == 2:
        del out["anyOf"]
        out = {**arms[0], **out}
    if out.get("default", 0) is None:
        del out["default"]
    return out
