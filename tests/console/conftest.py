"""A console over a real gate, and a browser that does what browsers do: follows forms, keeps cookies."""

import re
from collections.abc import AsyncIterator, Callable
from html import unescape

import httpx2 as httpx
import pytest
from starlette.applications import Starlette

from opspilot_mcp.console import app as console
from tests.gate.conftest import NOON, PASSPHRASE, House, house, template

__all__ = ["house", "template"]  # fixtures

ORIGIN = "http://127.0.0.1:8642"
COOKIE = "opspilot-console-8642"
_FORM = re.compile(r'<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>', re.DOTALL)
_INPUT = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)"')


class Time:
    """A clock tests move by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


class Browser:
    """A person's browser at the console."""

    def __init__(self, app: Starlette | None, origin: str = ORIGIN) -> None:
        """Look at `app` in this process, or, without one, at whatever listens at `origin`."""
        self._app, self.origin = app, origin
        transport = httpx.ASGITransport(app=app) if app else httpx.AsyncHTTPTransport()
        self.http = httpx.AsyncClient(transport=transport, base_url=origin, timeout=30)
        self.page = ""

    @property
    def app(self) -> Starlette:
        """The console in this process; a browser at another process has none."""
        assert self._app is not None
        return self._app

    async def get(self, path: str, **headers: str) -> httpx.Response:
        answer = await self.http.get(path, headers=_named(headers))
        self.page = answer.text
        return answer

    def form(self, action: str, at: int = 0) -> dict[str, str]:
        """Return the hidden fields of a form on the page that was fetched last."""
        found = [fields for where, fields in _FORM.findall(self.page) if where == action]
        return {name: unescape(value) for name, value in _INPUT.findall(found[at])}

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        """Send a form as a browser does; a redirect is followed by hand."""
        sent = {"origin": self.origin, "sec-fetch-site": "same-origin", **_named(headers)}
        return await self.http.post(path, data=fields, headers=sent)

    async def press(self, action: str, at: int = 0, **fields: str) -> httpx.Response:
        """Fill in a form on the page that was fetched last, send it, and end on the page it leads to."""
        answer = await self.post(action, {**self.form(action, at), **fields})
        if answer.status_code == 303:
            return await self.get(answer.headers["location"])
        self.page = answer.text
        return answer

    async def sign_in(self, name: str = "ana", passphrase: str = PASSPHRASE) -> httpx.Response:
        await self.get("/sign-in")
        return await self.press("/sign-in", name=name, passphrase=passphrase)

    @property
    def words(self) -> str:
        """The page as read: without tags, entities resolved, blanks folded."""
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", self.page)).split())


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def app(house: House, time: Time) -> AsyncIterator[Starlette]:
    built = console.build(house.gate, now=time)
    yield built
    await built.state.door.close()


@pytest.fixture
async def open_browser(app: Starlette) -> AsyncIterator[Callable[[], Browser]]:
    """Open as many browsers as a test needs."""
    opened: list[Browser] = []

    def make() -> Browser:
        opened.append(Browser(app))
        return opened[-1]

    yield make
    for one in opened:
        await one.http.aclose()


@pytest.fixture
def stranger(open_browser: Callable[[], Browser]) -> Browser:
    """A browser nobody signed in at."""
    return open_browser()


@pytest.fixture
async def ana(open_browser: Callable[[], Browser], house: House) -> Browser:
    """A browser at which ana signed in (without the half second of scrypt that typing the passphrase costs)."""
    return signed_in(open_browser(), house)


def signed_in(browser: Browser, house: House, who: str = "ana", *, now: int = NOON) -> Browser:
    """Give a browser the cookie of a sign-in."""
    cookie = browser.app.state.door.sign_ins.open(house.session(who, now), now=now)
    browser.http.cookies.set(COOKIE, cookie, domain="127.0.0.1")
    return browser
