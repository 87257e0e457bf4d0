"""The inbox, and one message drawn from its bytes with everything a person should know before signing."""

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from opspilot_mcp.console import beside, inbox, marks
from opspilot_mcp.console.door import Turn
from opspilot_mcp.errors import Conflict, InvalidInput, OpsPilotError
from opspilot_mcp.gate import approvers, audit, compose, dispatch, links, signatures, snapshots
from opspilot_mcp.gate.decisions import View
from opspilot_mcp.gate.signatures import Authority
from opspilot_mcp.gate.snapshots import Message

_HISTORY = 30
# Header lines that make a mail work and say nothing to its reader: shown too, but small.
TECHNICAL = frozenset(
    (
        "Message-ID",
        "In-Reply-To",
        "References",
        "Auto-Submitted",
        "Content-Type",
        "Content-Transfer-Encoding",
        "MIME-Version",
    )
)


async def show_inbox(turn: Turn) -> Response:
    """GET /."""
    after = turn.request.query_params.get("after", "")
    if after and not (after.isascii() and after.isdigit() and len(after) < 16):
        raise HTTPException(404, "There is no such page.")
    found = await turn.gate.db.read(inbox.inbox, after=int(after) if after else None)
    return await turn.draw("inbox.html", inbox=found, is_first=not after)


async def pulse(turn: Turn) -> Response:
    """GET /pulse: how many messages wait and which is the newest, for the inbox's script."""
    waiting, newest = await turn.gate.db.read(inbox.pulse)
    return JSONResponse({"waiting": waiting, "newest": newest})


async def look_again(turn: Turn) -> Response:
    """POST /look: take over what is new at the desk now, when the dispatcher does not run."""
    try:
        taken = await turn.gate.sync(now=turn.door.now())
    except OpsPilotError as error:
        return turn.go("/", str(error))
    return turn.go("/", f"{taken} new." if taken else "Nothing new.")


class Around(BaseModel):
    """What the gate knows about a message beside its bytes, read at once."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    item: inbox.Item
    versions: list[Message]
    history: list[dict[str, object]]
    next: Message | None
    is_mine: bool


def around(conn: Connection, authority: Authority, message: Message, me: str) -> Around:
    """Return signatures, versions, history and neighbours of a message."""
    names = approvers.active_names(approvers.load(conn, authority.home, authority.root))
    has_two = len(names) >= signatures.TWO
    return Around(
        item=inbox.items(conn, [message])[0],
        versions=inbox.versions(conn, message.proposal),
        history=audit.newest(conn, limit=_HISTORY, subject=message.id),
        next=inbox.next_to_sign(conn, message.number),
        is_mine=has_two and approvers.is_same_person(me, message.principal),
    )


async def show_message(turn: Turn) -> Response:
    """GET /messages/PR-9."""
    return await message_page(turn, turn.request.path_params["id"])


async def message_page(
    turn: Turn, message_id: str, *, status: int = 200, problem: str = "", typed: dict[str, str] | None = None
) -> Response:
    """Return a message's page; after a refused decision with the reason and what the person had typed."""
    try:
        view = await turn.gate.view(message_id)
    except (Conflict, InvalidInput) as error:
        return await _unreadable(turn, message_id, str(error))
    found = await turn.gate.db.read(around, turn.gate.authority, view.message, turn.session.name)
    return await turn.draw(
        "message.html",
        status,
        view=view,
        message=view.message,
        around=found,
        problem=problem,
        typed=typed or {},
        beside=await turn.door.at_desk(beside.look, view.message.subject),
        **_drawn(view),
    )


def _drawn(view: View) -> dict[str, object]:
    """Return the words of a message as they are drawn: marks, links, difference, what to look for."""
    return {
        "title": marks.segments(view.title),
        "text": marks.segments(view.text),
        "links": _links(view),
        "technical": TECHNICAL,
        "difference": marks.lines(view.difference),
        "look_for": dispatch.what_to_look_for(view.message),
    }


def _links(view: View) -> list[tuple[links.Link, str]]:
    """Return each link of the bytes with what is odd about it, by its spelling or by the gate's own history."""
    said = [flag.text.removeprefix("Link to ") for flag in view.message.flags if flag.code == "link"]
    out = []
    for link in links.find(f"{view.title}\n{view.text}"):
        flagged = next((text.removeprefix(link.shown) for text in said if text.startswith(link.shown)), "")
        out.append((link, flagged.strip(" ()") or "; ".join(link.tricks)))
    return out


async def _unreadable(turn: Turn, message_id: str, why: str) -> Response:
    """Return the page of a message whose bytes cannot be shown: it can be refused, and nothing else."""
    message = await turn.gate.db.read(snapshots.get, message_id)
    return await turn.draw("unreadable.html", 409, message=message, problem=why)


async def show_bytes(turn: Turn) -> Response:
    """GET /messages/PR-9/bytes: the exact bytes as a file, so that anybody can check the digest."""
    message = await turn.gate.db.read(snapshots.get, turn.request.path_params["id"])
    content = await turn.gate.db.read(snapshots.content, message.number)
    is_mail = message.channel_kind == "smtp" or (message.channel_kind == "file" and message.kind == "reply")
    name = f"{message.id}.v{message.version}.{'eml' if is_mail else 'json'}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/octet-stream", headers=headers)


async def show_version(turn: Turn) -> Response:
    """GET /messages/PR-9/versions/1: an earlier version, which can no longer be signed."""
    message = await turn.gate.db.read(snapshots.get, turn.request.path_params["id"])
    wanted = turn.request.path_params["version"]
    known = await turn.gate.db.read(inbox.versions, message.proposal)
    old = next((one for one in known if one.version == wanted), None)
    if old is None:
        raise HTTPException(404, "There is no such version.")
    content = await turn.gate.db.read(snapshots.content, old.number)
    read = compose.read(content, old.channel_kind, old.kind)
    return await turn.draw(
        "version.html",
        message=old,
        newest=message,
        title=marks.segments(read.title),
        text=marks.segments(read.text),
        headers=read.headers,
    )
