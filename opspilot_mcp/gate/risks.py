"""What a person should know before signing: flags, and the tier they put a message in.

A flag never sends and never hides a message. `high` asks for the high-risk tier, `block` for an edit first.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from opspilot_mcp import text as plain
from opspilot_mcp.gate import links, secretsigns
from opspilot_mcp.gate.policy import GatePolicy
from opspilot_mcp.masking import masks_in

Level = Literal["note", "high", "block"]
Risk = Literal["normal", "high", "blocked"]

_EMAIL = re.compile(r"[\w.+%-]{1,64}@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}")
_PHONE = re.compile(r"(?<![\w.])\+?\(?\d[\d ()./-]{6,18}\d(?![\w])")
_ORDER = re.compile(r"(?<![\w/.-])#?(?=[A-Za-z0-9-]*\d{3})[A-Za-z]{1,6}[-_ ]?\d{3,}(?:-\d+)*(?![\w])|#\d{3,}")


class Flag(BaseModel):
    """One thing to look at. `text` is safe to show: what a stranger wrote in it is escaped."""

    model_config = ConfigDict(frozen=True)

    code: str
    level: Level
    text: str


class Context(BaseModel):
    """What is known beside the words."""

    model_config = ConfigDict(frozen=True)

    kind: str
    channel_kind: str
    recipient: str
    is_verified: bool
    is_known_recipient: bool
    thread: str
    known_hosts: frozenset[str]


def flags(title: str, body: str, context: Context, policy: GatePolicy) -> list[Flag]:
    """Return the flags of a message whose words are `title` and `body`, as they were proposed (not yet cleaned)."""
    words = f"{title}\n{body}"
    out = [*_recipient(context), *_hidden(words), *_secrets(words)]
    out += _links(plain.clean(words), context, policy)
    if context.kind == "reply":
        out += _foreign(plain.clean(words), context, policy)
    return out


def tier(found: Iterable[Flag]) -> Risk:
    """Return the tier the flags put a message in."""
    levels = {flag.level for flag in found}
    return "blocked" if "block" in levels else "high" if "high" in levels else "normal"


def dump(found: Sequence[Flag]) -> str:
    """Return flags as stored."""
    return json.dumps([flag.model_dump() for flag in found])


def _recipient(context: Context) -> list[Flag]:
    out = []
    if context.kind == "reply" and not context.is_verified:
        out.append(
            Flag(
                code="unverified_requester",
                level="high",
                text="Nobody has verified this requester: the ticket came from an agent, not from an import.",
            )
        )
    if context.kind == "reply" and not context.is_known_recipient:
        out.append(Flag(code="new_recipient", level="high", text="This gate has never written to this address before."))
    if context.channel_kind == "webhook":
        out.append(Flag(code="webhook", level="high", text="A webhook may set something off at the other end."))
    return out


def _hidden(words: str) -> list[Flag]:
    out = []
    plain_words = words.replace("\r\n", "\n").replace("\r", "\n")
    dropped = len(plain_words) - len(plain.clean(words))
    if dropped:
        out.append(
            Flag(
                code="hidden_characters",
                level="high",
                text=f"Taken out: {dropped} hidden (control, bidi, zero-width or tag) character(s).",
            )
        )
    if mixed := links.mixed_words(words):
        shown = ", ".join(ascii(word)[1:-1] for word in mixed[:3])
        out.append(Flag(code="look_alike", level="high", text=f"Words mix scripts to look like others: {shown}"))
    return out


def _secrets(words: str) -> list[Flag]:
    out = [
        Flag(code="secret", level="block", text=f"The text holds {name}. Edit it out before signing.")
        for name in secretsigns.clear(words)
    ]
    out += [
        Flag(code="disguised_secret", level="high", text=f"Unwrapped, the text seems to hold {name}.")
        for name in secretsigns.disguised(words)
    ]
    if masks := masks_in(words):
        shown = ", ".join(dict.fromkeys(masks))[:200]
        text = f"The text holds what was masked for a model: {shown}. Edit it out before signing."
        out.append(Flag(code="mask", level="block", text=text))
    if secretsigns.told(words):
        out.append(Flag(code="told_secret", level="high", text="The text seems to tell a password, key or token."))
    return out


def _links(words: str, context: Context, policy: GatePolicy) -> list[Flag]:
    out = []
    found = links.find(words)
    if len(found) == links.MAX_LINKS:
        text = f"{links.MAX_LINKS} links or more: those past the first {links.MAX_LINKS} are not listed here."
        out.append(Flag(code="link", level="high", text=text))
    for link in found:
        is_own = any(link.host == own or link.host.endswith(f".{own}") for own in policy.risk.own_hosts)
        tricks = list(link.tricks)
        if link.host and not is_own and link.host not in context.known_hosts:
            tricks.append("never sent from here before")
        shown = f"Link to {link.shown}" + (f" ({'; '.join(tricks)})" if tricks else "")
        out.append(Flag(code="link", level="high" if tricks else "note", text=shown))
    if links.has_image(words):
        out.append(Flag(code="image", level="high", text="Markup that loads an image or a page; it is sent as text."))
    if links.has_markup(words):
        out.append(Flag(code="markup", level="note", text="HTML tags; they are sent as plain text."))
    return out


def _foreign(words: str, context: Context, policy: GatePolicy) -> list[Flag]:
    """Flag addresses, phone and order numbers that are neither the requester's, nor in the thread, nor ours."""
    known = _bare(" ".join([context.thread, context.recipient, policy.sender, *policy.risk.own_details]))
    out = []
    for label, pattern in (("address", _EMAIL), ("phone number", _PHONE), ("order or account number", _ORDER)):
        strange = [found for found in dict.fromkeys(pattern.findall(words)) if _bare(found) not in known]
        if strange:
            shown = ", ".join(ascii(one)[1:-1][:80] for one in strange[:5])
            text = f"An {label}" if label[0] in "ao" else f"A {label}"
            out.append(
                Flag(
                    code="foreign_detail",
                    level="high",
                    text=f"{text} that is not in this ticket's thread, perhaps another customer's: {shown}",
                )
            )
    return out


def _bare(value: str) -> str:
    """Return letters and digits only: the same number written with other blanks is the same number."""
    return "".join(char for char in value.casefold() if char.isalnum() or char in "@")
