"""Resources a client can attach: a ticket, an incident, a runbook, the queue, the policy. And completions for ids."""

from typing import Any

from fastmcp import Context, FastMCP
from fastmcp.server.dependencies import get_context
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, ResourceTemplateReference
from sqlalchemy import Connection, String, cast, select

from opspilot_mcp.desk import queue as queues
from opspilot_mcp.desk.queue import QueueFilter
from opspilot_mcp.errors import OpsPilotError
from opspilot_mcp.store import ids
from opspilot_mcp.store.schema import incidents as incident_rows
from opspilot_mcp.store.schema import tickets as ticket_rows
from opspilot_mcp.tools import aiops, answers, desk
from opspilot_mcp.tools.protocol import Answer, app_of

_JSON = "application/json"
_COMPLETIONS = 20


def register(mcp: FastMCP[Any]) -> None:
    """Add the resources and the completion handler."""
    mcp.resource("ticket://{id}", name="ticket", description="One ticket in full", mime_type=_JSON)(ticket)
    mcp.resource("incident://{id}", name="incident", description="One incident in full", mime_type=_JSON)(incident)
    mcp.resource("runbook://{slug}", name="runbook", description="One runbook", mime_type=_JSON)(runbook)
    mcp.resource("desk://queue", name="queue", description="The queue, most at risk first", mime_type=_JSON)(queue)
    mcp.resource("desk://policy", name="policy", description="Categories, SLA, routing, aliases", mime_type=_JSON)(
        policy
    )
    mcp.completion(complete)


async def ticket(id: str, ctx: Context) -> str:
    app = app_of(ctx)
    return await _told(app.read(desk.ticket_page, id, full=True, policy=app.policy, now=app.now()))


async def incident(id: str, ctx: Context) -> str:
    app = app_of(ctx)
    return await _told(app.read(aiops.incident_page, id))


async def runbook(slug: str, ctx: Context) -> str:
    app = app_of(ctx)
    return await _told(app.read(aiops.runbook_page, slug, None, books=app.runbooks))


async def queue(ctx: Context) -> str:
    app = app_of(ctx)
    page = await app.read(queues.page, QueueFilter(), limit=50)
    return answers.queue_answer(page, policy=app.policy, now=app.now()).model_dump_json(exclude_none=True)


async def policy(ctx: Context) -> str:
    return app_of(ctx).policy.model_dump_json()


async def _told(answer: Any) -> str:
    """Return an answer as JSON; what a caller asked wrongly is told in our words, without the URI."""
    try:
        found: Answer = await answer
    except OpsPilotError as error:
        raise MCPError(code=INVALID_PARAMS, message=str(error)) from None
    return found.model_dump_json(exclude_none=True)


async def complete(ref: Any, argument: Any, context: Any) -> list[str] | None:  # noqa: ARG001 - the protocol's shape
    """Return ids that start with what was typed, newest first; None for what has no completions."""
    app = app_of(get_context())
    kind = ref.uri if isinstance(ref, ResourceTemplateReference) else None
    if kind == "ticket://{id}":
        return await app.read(_ids, ticket_rows.c.id, "T", argument.value)
    if kind == "incident://{id}":
        return await app.read(_ids, incident_rows.c.id, "INC", argument.value)
    if kind == "runbook://{slug}":
        return sorted(book.slug for book in app.runbooks if book.slug.startswith(argument.value))[:_COMPLETIONS]
    return None


def _ids(conn: Connection, column: Any, kind: str, typed: str) -> list[str]:
    digits = typed.upper().removeprefix(f"{kind}-")
    query = select(column).order_by(column.desc()).limit(_COMPLETIONS)
    if digits and not f"{kind}-".startswith(digits):
        if not digits.isdecimal():
            return []
        query = query.where(cast(column, String).startswith(digits))
    return [ids.shown(kind, number) for number in conn.execute(query).scalars()]
