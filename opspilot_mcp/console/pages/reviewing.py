"""The blind review: one ticket at a time, in order of arrival, without what triage thinks of it."""

from typing import NamedTuple

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from opspilot_mcp.console.door import Turn
from opspilot_mcp.console.pages.correcting import store_label
from opspilot_mcp.console.pages.tickets import PRIORITIES
from opspilot_mcp.desk import learning, tickets
from opspilot_mcp.desk.certificate import Gate
from opspilot_mcp.desk.tickets import Ticket
from opspilot_mcp.errors import OpsPilotError
from opspilot_mcp.policy import Policy
from opspilot_mcp.store import ids

MOST = 500


class Review(NamedTuple):
    """The ticket to judge, None when nothing waits; how many wait (at most MOST are counted); where the gate stands."""

    ticket: Ticket | None
    waiting: int
    gate: Gate
    p1_net: str


def next_one(conn: Connection, *, after: int, policy: Policy) -> Review:
    """Return the oldest ticket past `after` that waits for a person's word; the oldest of all where none is left."""
    waiting = learning.waiting(conn, limit=MOST)
    later = (one for one in waiting if ids.number("T", one) > after)
    name = next(later, waiting[0] if waiting else None)
    state = learning.load(conn, policy)
    return Review(tickets.get(conn, name) if name else None, len(waiting), state.gate, state.p1.words())


async def show_review(turn: Turn) -> Response:
    """GET /review: the next ticket; `?after=17` has skipped T-17."""
    after = turn.request.query_params.get("after")
    if after is not None and not (after.isascii() and after.isdigit() and len(after) < 16):
        raise HTTPException(404, "There is no such page.")
    return await _view(turn, after=int(after or 0))


async def _view(turn: Turn, *, after: int, status: int = 200, problem: str = "") -> Response:
    policy = await turn.door.policy()
    found = await turn.door.desk(next_one, after=after, policy=policy)
    target = found.gate.next_test if found.gate.certificate is None else None
    return await turn.draw(
        "review.html",
        status,
        **found._asdict(),
        target=target,
        most=MOST,
        categories=policy.desk.categories,
        priorities=PRIORITIES,
        problem=problem,
    )


async def answer(turn: Turn) -> Response:
    """POST /review/T-17: store the label and go on; what triage had said is shown now."""
    ticket_id = turn.request.path_params["id"]
    try:
        notice = await store_label(turn, ticket_id)
    except OpsPilotError as error:
        return await _view(turn, after=0, status=409, problem=str(error))
    return turn.go("/review", notice)
