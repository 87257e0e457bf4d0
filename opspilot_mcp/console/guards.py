"""What every request must pass before a page sees it, and the headers every answer carries.

Pure ASGI and outermost: static files, unknown paths and failures get the same treatment as pages.
"""

import logging
import secrets
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("opspilot_mcp.console")

# Everything comes from this origin's own files. Forms go nowhere else, nothing frames us, no script is written inline.
CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: under it a browser posts forms with `Origin: null`, which is refused here.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "cache-control": "no-store",
}
FORM = "application/x-www-form-urlencoded"


def refusal(method: str, headers: Headers, authority: str) -> tuple[int, str] | None:
    """Return (status, sentence) when a request may not reach a page, else None. `authority` is our own host:port."""
    if headers.getlist("host") != [authority]:
        # Another name for this address, as DNS rebinding makes, is another site.
        return 421, f"This console answers only as http://{authority}. Open that address."
    if method not in ("GET", "HEAD", "POST"):
        return 405, "This console takes GET and POST only."
    if method == "POST":
        return _refused_post(headers, authority)
    return _refused_get(headers)


def _refused_post(headers: Headers, authority: str) -> tuple[int, str] | None:
    if headers.getlist("origin") != [f"http://{authority}"]:
        return 403, "A decision is taken only from the console's own pages. Open the console and decide there."
    if _sites(headers) not in ([], ["same-origin"]):
        return 403, "A decision is taken only from the console's own pages. Open the console and decide there."
    if headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return 403, "This is not a form of the console. Open the console and decide there."
    return None


def _refused_get(headers: Headers) -> tuple[int, str] | None:
    """Another site may lead a person here, with a link; it may load nothing from here."""
    if _sites(headers) in ([], ["same-origin"], ["none"]):
        return None
    is_navigation = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return None if is_navigation else (403, "Other sites may not load this console's files.")


def _sites(headers: Headers) -> Sequence[str]:
    return headers.getlist("sec-fetch-site")


class Guard:
    """Refuses what `refusal` names, adds HEADERS to every answer, and shows no failure's inside."""

    def __init__(self, app: ASGIApp, *, authority: str) -> None:
        self.app, self.authority = app, authority

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._http(scope, receive, _guarded(send))

    async def _http(self, scope: Scope, receive: Receive, send: "_Sender") -> None:
        refused = refusal(scope["method"], Headers(scope=scope), self.authority)
        if refused:
            status, sentence = refused
            await PlainTextResponse(sentence + "\n", status)(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        except Exception:
            code = secrets.token_hex(4)
            log.exception("the console failed on a request (%s)", code)
            if not send.has_begun:
                sentence = f"The console failed; nothing was decided by this page. Its log says why under {code}.\n"
                await PlainTextResponse(sentence, 500)(scope, receive, send)


class _Sender:
    """`send` with our headers added, and whether the answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send, self.has_begun = send, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            MutableHeaders(scope=message).update(HEADERS)
        await self._send(message)


def _guarded(send: Send) -> _Sender:
    return _Sender(send)
