"""Who is signed in at which browser, and the single-use tokens that tie a form to that sign-in.

A sign-in holds an approver's open key: it lives in this process's memory only, ends after 15 idle minutes or 8 hours
(`approvers.Session` decides), and is found by a random cookie of which only the digest is kept.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from opspilot_mcp.clock import HOUR_MS
from opspilot_mcp.gate.approvers import Session

MAX_SIGN_INS = 50
FORM_MS = HOUR_MS  # how long a shown form may be sent
_MAX_SPENT = 20_000
_NONCE_HEX = 32


@dataclass(repr=False)
class Visit:
    """One browser's sign-in. `notice` is what the next page says first, once.

    `user` is the operating-system user whose browser it is, None where the system does not tell.
    """

    session: Session
    notice: str = ""
    user: int | None = None


class SignIns:
    """Every sign-in of this process. `now` is UTC ms."""

    def __init__(self) -> None:
        self._open: dict[bytes, Visit] = {}
        self._spent: dict[str, int] = {}
        self._key = secrets.token_bytes(32)

    @staticmethod
    def new_cookie() -> str:
        """Return a fresh cookie value; it means nothing until `open`."""
        return secrets.token_urlsafe(32)

    def open(self, session: Session, *, now: int, user: int | None = None) -> str:
        """Keep a sign-in; returns the cookie that finds it, always a new one."""
        self.purge(now=now)
        while len(self._open) >= MAX_SIGN_INS:
            del self._open[next(iter(self._open))]
        cookie = self.new_cookie()
        self._open[_digest(cookie)] = Visit(session, user=user)
        return cookie

    def find(self, cookie: str | None, *, now: int) -> Visit | None:
        """Return the live sign-in behind a cookie, else None; one that ran out is forgotten, its key with it."""
        if not cookie:
            return None
        visit = self._open.get(_digest(cookie))
        if visit is not None and not visit.session.is_live(now):
            self.close(cookie)
            return None
        return visit

    def close(self, cookie: str) -> None:
        """End a sign-in."""
        self._open.pop(_digest(cookie), None)

    def purge(self, *, now: int) -> None:
        """Forget sign-ins that ran out and tokens too old to be sent again."""
        self._open = {key: visit for key, visit in self._open.items() if visit.session.is_live(now)}
        self._spent = {nonce: until for nonce, until in self._spent.items() if until > now}

    # -- form tokens ---------------------------------------------------------------------------------------------------

    def form_token(self, cookie: str, path: str, *, now: int) -> str:
        """Return a token for one form: this browser, this path, once, within the hour."""
        nonce = secrets.token_hex(_NONCE_HEX // 2)
        return f"{nonce}.{now}.{self._seal(cookie, path, nonce, now)}"

    def spend(self, cookie: str, path: str, token: str, *, now: int) -> bool:
        """Whether the token is good for this browser and path; a good one is used up."""
        nonce, _, rest = token.partition(".")
        at_text, _, seal = rest.partition(".")
        if len(nonce) != _NONCE_HEX or not (at_text.isascii() and at_text.isdigit() and len(at_text) < 16):
            return False
        at = int(at_text)
        if not hmac.compare_digest(seal.encode(), self._seal(cookie, path, nonce, at).encode()):
            return False
        if not at <= now < at + FORM_MS or nonce in self._spent:
            return False
        self._spent[nonce] = at + FORM_MS
        while len(self._spent) > _MAX_SPENT:
            del self._spent[next(iter(self._spent))]
        return True

    def _seal(self, cookie: str, path: str, nonce: str, at: int) -> str:
        text = "\0".join((cookie, path, nonce, str(at)))
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
