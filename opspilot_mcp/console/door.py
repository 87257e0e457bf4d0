"""What every page is given: the gate, who is signed in, the form that was sent, and how a page is drawn."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import parse_qsl

import jinja2
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from opspilot_mcp import clock, proposals
from opspilot_mcp import policy as policies
from opspilot_mcp.console import deskhand, peer, sessions, shown
from opspilot_mcp.console.sessions import SignIns, Visit
from opspilot_mcp.errors import BadSetting, NotAllowed, OpsPilotError, StoreBusy, StoreUnusable
from opspilot_mcp.gate import approvers, deskside, keys, screen, state
from opspilot_mcp.gate.approvers import Session
from opspilot_mcp.gate.service import Gate
from opspilot_mcp.policy import Policy

log = logging.getLogger("opspilot_mcp.console")

P = ParamSpec("P")
T = TypeVar("T")

MAX_FORM_BYTES = 400_000  # 20,000 characters of four bytes, percent-encoded, and the small fields
_MAX_POLICY_BYTES = 1_000_000
_FORM_TIMEOUT_S = 15.0
_COUNT_S = 6.0  # under the desk's own patience of 10 s: with a rollback journal a read holds writers up
_MAX_FIELDS = 20
_HERE = Path(__file__).parent


def templates() -> jinja2.Environment:
    """Return the pages' templates: everything put into one is escaped, and a name that is missing is an error."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(shown.FILTERS)
    return env


@dataclass
class Door:
    """The console, opened once. `authority` is its own host:port."""

    gate: Gate
    authority: str
    now: Callable[[], int] = clock.now_ms
    sign_ins: SignIns = field(default_factory=SignIns)
    env: jinja2.Environment = field(default_factory=templates)
    # scrypt takes 64 MB: one passphrase at a time.
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    # Figures over a period: instant and value, by name and days. Counting a quarter of a busy desk takes a second.
    counted: dict[tuple[str, int], tuple[int, Any]] = field(default_factory=dict)
    # A connection of its own: what a person changes at the desk never waits behind, or holds up, the gate's.
    hand: deskside.Desk = field(init=False)
    # And one for counting: it may take seconds, and no page waits behind it.
    slow: deskside.Desk = field(init=False)

    def __post_init__(self) -> None:
        self.hand = deskside.Desk(self.gate.home.desk_db, deskhand.may)
        self.slow = deskside.Desk(self.gate.home.desk_db, deskhand.may_only_read, step_s=_COUNT_S)

    @property
    def cookie_name(self) -> str:
        # Browsers do not keep the cookies of two ports apart; the name does.
        return f"opspilot-console-{self.authority.rpartition(':')[2]}"

    async def close(self) -> None:
        """Close the connections this door opened itself."""
        await self.hand.close()
        await self.slow.close()

    async def instant(self) -> int:
        """Return the instant sign-ins are judged by: the gate's, which a clock set back does not turn back."""
        return (await self.gate.db.read(state.read)).now(self.now())

    async def sign_in(self, name: str, passphrase: str) -> Session:
        """Open an approver's key; a wrong name and a wrong passphrase read the same."""
        async with self.opening:
            try:
                return await self.gate.sign_in(name, passphrase, now=self.now())
            except keys.WrongPassphrase:
                raise NotAllowed("The name or the passphrase is wrong. Try again.") from None

    async def desk(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a reading room function on the desk's file. Raises OpsPilotError, also for rows that make no sense."""
        async with self.reading:
            return await _read(self.gate.desk, fn, *args, **kwargs)

    async def count(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a room function that counts over a long period, as `desk` does but on a connection of its own."""
        return await _read(self.slow, fn, *args, **kwargs)

    async def change(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a room function that changes the desk, as one transaction that may write `deskhand`'s columns only."""
        try:
            return await self.hand.write(fn, *args, **kwargs)
        except StoreBusy:
            raise StoreBusy("The desk is busy. Nothing was changed; send the form again.") from None
        except (ValueError, TypeError, LookupError, RecursionError):
            raise StoreUnusable("The desk's rows cannot be read. Run `opspilot-mcp doctor`.") from None

    async def policy(self) -> Policy:
        """Return the desk's policy as its file stands. Raises StoreUnusable naming what is wrong with it."""
        try:
            return await asyncio.to_thread(_read_policy, self.gate.home.root / "policy.toml")
        except BadSetting as error:
            raise StoreUnusable(str(error)) from None

    async def at_desk(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return `desk(...)`, None where it cannot be read or is not there: for what stands beside a page."""
        try:
            return await self.desk(fn, *args, **kwargs)
        except OpsPilotError:
            return None


async def _read(
    desk: deskside.Desk, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    try:
        return await desk.read(fn, *args, **kwargs)
    except (ValueError, TypeError, LookupError, RecursionError):
        # Whatever somebody wrote into the file, a page says so and the console goes on.
        raise StoreUnusable("The desk's rows cannot be read. Run `opspilot-mcp doctor`.") from None


def _read_policy(path: Path) -> Policy:
    # At L1 another user may have made it: a pipe would never end.
    if path.exists() and (not path.is_file() or path.stat().st_size > _MAX_POLICY_BYTES):
        raise BadSetting(f"{path.name} is not a small plain file. Put the desk's policy there, or nothing.")
    return policies.load(path)


@dataclass
class Turn:
    """One request of a signed-in person."""

    door: Door
    request: Request
    cookie: str
    visit: Visit
    form: dict[str, str] = field(default_factory=dict)

    @property
    def gate(self) -> Gate:
        return self.door.gate

    @property
    def session(self) -> Session:
        return self.visit.session

    @property
    def by(self) -> str:
        """The name decisions in the safe direction are recorded under."""
        return f"person:{self.session.name}"

    def token(self, path: str) -> str:
        """Return the hidden field's value of a form that posts to `path`."""
        return self.door.sign_ins.form_token(self.cookie, path, now=self.door.now())

    async def draw(self, template: str, status: int = 200, **context: Any) -> Response:
        """Return a page. `standing` and `beat` stand on every one: whether messages leave must never be a surprise."""
        now = self.door.now()
        notice, self.visit.notice = self.visit.notice, ""
        page = self.door.env.get_template(template).render(
            me=self.session.name,
            notice=notice,
            now=now,
            token=self.token,
            standing=await self.gate.db.read(state.read),
            counts=await self.gate.counts(),
            beat=await self.door.at_desk(_beat, now=now),
            isolation=screen.isolation(self.gate.home),
            path=self.request.url.path,
            **context,
        )
        return HTMLResponse(page, status)

    def go(self, path: str, notice: str = "") -> Response:
        """Send the browser to a page of ours after a decision, so that a reload decides nothing again."""
        self.visit.notice = notice
        return RedirectResponse(path, 303)


def _beat(conn: Connection, *, now: int) -> proposals.GateState:
    return proposals.gate_state(conn, now=now)


Page = Callable[[Turn], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def reads(page: Page) -> Endpoint:
    """Make a page that a signed-in person may look at; anybody else gets the sign-in page."""

    async def endpoint(request: Request) -> Response:
        turn = await turn_of(request)
        return await page(turn) if turn else sign_in_page(request, status=401)

    return endpoint


def decides(page: Page) -> Endpoint:
    """Make a page that takes a decision: signed in, and through a form of ours that was not sent before."""

    async def endpoint(request: Request) -> Response:
        form, turn = await form_of(request), await turn_of(request)
        if turn is None:
            to, words = request.url.path.rpartition("/")[0], form.get("body", "")
            said = "The sign-in is over. Nothing was decided."
            return sign_in_page(request, status=401, problem=said, to=to, words=words)
        turn.form = form
        check_token(turn.door, turn.cookie, request.url.path, turn.form)
        return await page(turn)

    return endpoint


def watches(page: Page) -> Endpoint:
    """Make an answer the page's script asks for by itself: it does not keep a sign-in alive."""

    async def endpoint(request: Request) -> Response:
        turn = await turn_of(request, is_person=False)
        return await page(turn) if turn else Response(status_code=401)

    return endpoint


async def turn_of(request: Request, *, is_person: bool = True) -> Turn | None:
    """Return the signed-in person's turn, None when nobody is signed in or the key was revoked meanwhile."""
    door: Door = request.app.state.door
    cookie = request.cookies.get(door.cookie_name, "")
    now = await door.instant()
    visit = door.sign_ins.find(cookie, now=now)
    if visit is None or not await _is_own(door, request, visit, cookie):
        return None
    trusted = await door.gate.db.read(approvers.load, door.gate.home, door.gate.authority.root)
    mine = trusted.get(visit.session.pair.key_id)
    if mine is None or not mine.is_active:
        door.sign_ins.close(cookie)
        return None
    if is_person:
        visit.session.touch(now)
    return Turn(door, request, cookie, visit)


async def user_of(request: Request) -> int | None:
    """Return the operating-system user whose program sent this request, None where the system does not tell."""
    client, server = request.scope.get("client"), request.scope.get("server")
    return await asyncio.to_thread(peer.user_of, tuple(client), tuple(server)) if client and server else None


async def _is_own(door: Door, request: Request, visit: Visit, cookie: str) -> bool:
    """Whether the cookie comes from the user who signed in; one that another user sends ends the sign-in."""
    if visit.user is None:
        return True
    user = await user_of(request)
    if user is not None and user != visit.user:
        log.warning("user %s sent the cookie of %s's sign-in; that sign-in is over", user, visit.session.name)
        door.sign_ins.close(cookie)
    return user == visit.user


async def form_of(request: Request) -> dict[str, str]:
    """Return a sent form, each field once. Raises HTTPException for one too large, too slow or not ours."""
    try:
        async with asyncio.timeout(_FORM_TIMEOUT_S):
            body = b""
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_FORM_BYTES:
                    raise HTTPException(413, "The form is too large. Shorten the text.")
    except TimeoutError:
        raise HTTPException(408, "The form took too long to arrive. Send it again.") from None
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            encoding="utf-8",
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise HTTPException(403, "This is not a form of the console. Open the page again.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise HTTPException(403, "A field was sent twice. Open the page again.")
    return form


def check_token(door: Door, cookie: str, path: str, form: dict[str, str]) -> None:
    """Spend the form's token. Raises HTTPException when it is missing, used, old, or another browser's or page's."""
    if not cookie or not door.sign_ins.spend(cookie, path, form.pop("token", ""), now=door.now()):
        raise HTTPException(403, "This form was sent before or is too old. Nothing was decided. Open the page again.")


# -- sign-in -----------------------------------------------------------------------------------------------------------


def sign_in_page(
    request: Request,
    *,
    status: int = 200,
    problem: str = "",
    name: str = "",
    to: str | None = None,
    words: str = "",
) -> Response:
    """Return the sign-in page; its form leads back to where the person wanted to go.

    `words` are what the person had written when the sign-in ended, shown so that they can be copied.
    """
    door: Door = request.app.state.door
    known = request.cookies.get(door.cookie_name, "")
    cookie = known if 20 <= len(known) <= 100 and known.isascii() else sessions.SignIns.new_cookie()
    wanted = request.url.path if to is None else to
    page = door.env.get_template("sign_in.html").render(
        problem=problem,
        name=name,
        words=words,
        to=safe_path(wanted),
        token=door.sign_ins.form_token(cookie, "/sign-in", now=door.now()),
        isolation=screen.isolation(door.gate.home),
    )
    response = HTMLResponse(page, status)
    if cookie != known:
        set_cookie(response, door, cookie)
    return response


def safe_path(path: str) -> str:
    """Return `path` when it is one of our own pages, else the inbox: a link must not choose where sign-in leads."""
    is_plain = path.isascii() and len(path) <= 200 and all(char.isalnum() or char in "/-_" for char in path)
    is_ours = path.startswith("/") and not path.startswith("//") and not path.startswith(("/sign-", "/static"))
    return path if is_plain and is_ours and path.count("/") <= 2 else "/"


def set_cookie(response: Response, door: Door, cookie: str) -> None:
    """Give the browser its cookie: for this host only, gone with the browser, unseen by scripts and by other sites."""
    response.set_cookie(door.cookie_name, cookie, path="/", httponly=True, samesite="strict")
