"""Signing in and out. The cookie is new at every sign-in, so that one planted before is worth nothing."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from opspilot_mcp.console import door
from opspilot_mcp.console.door import Door, Turn
from opspilot_mcp.errors import OpsPilotError


async def show(request: Request) -> Response:
    """GET /sign-in."""
    return door.sign_in_page(request, to="/")


async def sign_in(request: Request) -> Response:
    """POST /sign-in: open the key once and keep it for 15 idle minutes."""
    here: Door = request.app.state.door
    form = await door.form_of(request)
    cookie = request.cookies.get(here.cookie_name, "")
    door.check_token(here, cookie, "/sign-in", form)
    name, to = form.get("name", "").strip(), form.get("to", "/")
    try:
        session = await here.sign_in(name, form.get("passphrase", ""))
    except OpsPilotError as error:
        return door.sign_in_page(request, status=401, problem=str(error), name=name, to=to)
    here.sign_ins.close(cookie)
    response = RedirectResponse(door.safe_path(to), 303)
    user = await door.user_of(request)
    door.set_cookie(response, here, here.sign_ins.open(session, now=await here.instant(), user=user))
    return response


async def sign_out(turn: Turn) -> Response:
    """POST /sign-out: forget the key."""
    turn.door.sign_ins.close(turn.cookie)
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(turn.door.cookie_name, path="/", httponly=True, samesite="strict")
    return response
