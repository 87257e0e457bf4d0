"""Turns words into the exact bytes a channel will carry, and those bytes back into what a person reads.

The screen, the hash and the wire all use the bytes made here; nothing is added after a person has signed.
"""

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy as email_policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import format_datetime
from functools import lru_cache

from opspilot_mcp import text as plain
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.gate import canonical
from opspilot_mcp.gate.policy import Channel, FileChannel, GatePolicy, SlackChannel, SmtpChannel, WebhookChannel

# Quoted-printable for all: pure ASCII on the wire, so no server re-codes it and the bytes stay the signed ones.
_MAIL = email_policy.SMTP.clone(max_line_length=78, refold_source="none")
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}", re.ASCII)
# Words with single blanks, short enough to stay on one line; a name has no sign that an address list is read by.
_PLAIN_SUBJECT = re.compile(r"(?!.*=\?)(?=.{0,60}\Z)[!-~]*(?: [!-~]+)*")
_PLAIN_NAME = re.compile(r"(?=.{0,60}\Z)(?:[A-Za-z0-9]+(?: [A-Za-z0-9]+)*)?")
_HEADER_WORD_BYTES = 39  # 52 signs of base64: with `Subject: ` and its marks a line stays under 76 (RFC 2047, 2)
_SLACK_PART = 2_900
_CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


@dataclass(frozen=True)
class Words:
    """What is to be said, and about what."""

    kind: str
    subject: str
    title: str
    body: str


@dataclass(frozen=True)
class Readable:
    """A message as its bytes say it: header lines in order, then the whole text."""

    headers: tuple[tuple[str, str], ...]
    title: str
    text: str


def address(value: str | None) -> str:
    """Return a usable mail address. Raises InvalidInput: look-alike letters, lists and display names are not."""
    found = (value or "").strip()
    if not _ADDRESS.fullmatch(found) or ".." in found or len(found) > 254:
        raise InvalidInput("The requester has no plain mail address. Correct the requester in an import.")
    return found


def content_code(content: bytes) -> str:
    """Return the short code of some bytes, such as `K7QF-2M9D`: the same on every screen that shows the message."""
    number = int(canonical.sha256(content), 16)
    signs = []
    for _ in range(8):
        number, at = divmod(number, len(_CODE_ALPHABET))
        signs.append(_CODE_ALPHABET[at])
    return "".join(signs[:4]) + "-" + "".join(signs[4:])


def build(
    words: Words,
    channel: Channel,
    policy: GatePolicy,
    *,
    recipient: str,
    event_id: str,
    references: list[str],
    now: int,
) -> bytes:
    """Return the bytes to send: a MIME message for replies, JSON for pages, what Slack or a webhook takes."""
    clean = Words(words.kind, words.subject, plain.one_line(words.title), plain.clean(words.body))
    match channel:
        case SmtpChannel():
            return mail(clean, policy, recipient=recipient, event_id=event_id, references=references, now=now)
        case FileChannel():
            if words.kind == "reply":
                return mail(clean, policy, recipient=recipient, event_id=event_id, references=references, now=now)
            return _json(clean, event_id)
        case SlackChannel():
            return _slack(clean, event_id, channel.channel_id)
        case WebhookChannel():
            return _json(clean, event_id)


def mail(words: Words, policy: GatePolicy, *, recipient: str, event_id: str, references: list[str], now: int) -> bytes:
    """Return a text/plain message. `references` are Message-IDs of the thread, oldest first."""
    message = EmailMessage(policy=_MAIL)
    # Raw: the library's own folding drops blanks in an encoded text and encodes what is long, addresses too.
    name = _encoded(plain.one_line(policy.sender_name), _PLAIN_NAME)
    message.set_raw("From", f"{name}\r\n <{policy.sender}>" if name else policy.sender)
    message.set_raw("To", recipient)
    message.set_raw("Subject", _encoded(words.title, _PLAIN_SUBJECT))
    message["Date"] = format_datetime(datetime.fromtimestamp(now // 1000, tz=UTC))
    message.set_raw("Message-ID", f"<{event_id}>")
    if references:
        message.set_raw("In-Reply-To", f"<{references[-1]}>")
        message.set_raw("References", "\r\n ".join(f"<{one}>" for one in references))
    message["Auto-Submitted"] = "no"
    message.set_content(words.body.rstrip("\n") + "\n", subtype="plain", charset="utf-8", cte="quoted-printable")
    content = message.as_bytes(policy=_MAIL)
    # A mail server would add a missing last line end, and other bytes than the signed ones would arrive.
    return content if content.endswith(b"\r\n") else content + b"\r\n"


def _encoded(words: str, unharmed: re.Pattern[str]) -> str:
    """Return words as a header carries them: plain where they pass `unharmed`, else as RFC 2047 encoded words.

    Every character is inside an encoded word, blanks too: what stands between two of them is dropped by a reader.
    """
    if unharmed.fullmatch(words):
        return words
    parts, size = [""], 0
    for char in words:
        size += len(char.encode())
        if size > _HEADER_WORD_BYTES:
            parts, size = [*parts, ""], len(char.encode())
        parts[-1] += char
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(part.encode()).decode()}?=" for part in parts)


def _json(words: Words, event_id: str) -> bytes:
    body = {"id": event_id, "kind": words.kind, "about": words.subject, "title": words.title, "text": words.body}
    return json.dumps(body, ensure_ascii=False, sort_keys=True, indent=1).encode()


def _slack(words: Words, event_id: str, channel_id: str | None) -> bytes:
    """Return a chat.postMessage body in which no word can mention, link, format or unfurl."""
    parts = _parts(words.title) + _parts(words.body)
    message: dict[str, object] = {
        "text": slack_safe(f"{words.title}\n{words.body}"),
        "blocks": [{"type": "section", "text": {"type": "plain_text", "text": part, "emoji": False}} for part in parts],
        "mrkdwn": False,
        "parse": "none",  # Slack: "set parse to none to remove the hyperlinks"
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "metadata": {"event_type": "opspilot_message", "event_payload": {"id": event_id, "about": words.subject}},
    }
    if channel_id:
        message["channel"] = channel_id
    return json.dumps(message, ensure_ascii=False, sort_keys=True).encode()


def slack_safe(words: str) -> str:
    """Return text Slack shows as it stands: `<...>` cannot become a mention or link, an address is not clickable.

    Source: Slack's formatting reference: `&`, `<` and `>` are its three control characters.
    """
    return _escaped(_defanged(words))


def _defanged(words: str) -> str:
    words = re.sub(r"(?i)\b([a-z][a-z0-9+.-]{1,15}):(?=//)", r"\1[:]", words)
    words = re.sub(r"(?i)\b(mailto|tel):", r"\1[:]", words)
    return re.sub(r"(?i)@(?=(?:channel|here|everyone|group)\b)", "(at)", words)


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _parts(words: str) -> list[str]:
    """Return the escaped text in pieces Slack takes (3,000 characters), no escape torn in two."""
    parts = [""]
    for char in _defanged(words):
        if len(parts[-1]) + 5 > _SLACK_PART:
            parts.append("")
        parts[-1] += _escaped(char)
    return parts


@lru_cache(maxsize=256)  # a message is read when it is shown, recorded and told; parsing mail costs 4 ms
def read(content: bytes, channel_kind: str, kind: str) -> Readable:
    """Return what the bytes say. Raises InvalidInput when they are not what the channel carries."""
    try:
        if channel_kind == "smtp" or (channel_kind == "file" and kind == "reply"):
            return _read_mail(content)
        found = json.loads(content)
        if channel_kind == "slack":
            return _read_slack(found)
        headers = tuple((name, str(found[name])) for name in ("id", "kind", "about"))
        return Readable(headers, str(found["title"]), str(found["text"]))
    except (ValueError, KeyError, LookupError, TypeError) as error:
        raise InvalidInput("The snapshot cannot be read back. Reject it and propose it again.") from error


def _read_mail(content: bytes) -> Readable:
    message = BytesParser(policy=_MAIL).parsebytes(content)
    body = message.get_payload(decode=True)
    if message.is_multipart() or message.get_content_type() != "text/plain" or not isinstance(body, bytes):
        raise ValueError("not a plain text message")
    headers = tuple((name, str(value)) for name, value in message.items())
    return Readable(headers, str(message["Subject"]), body.decode("utf-8").replace("\r\n", "\n"))


def _read_slack(found: dict[str, object]) -> Readable:
    """Read the blocks, and hold them against `text`: a message that says two things cannot be shown as one."""
    blocks = found["blocks"]
    if not isinstance(blocks, list):
        raise TypeError("blocks")
    whole = "".join(_unescaped(str(block["text"]["text"])) for block in blocks)
    title, _, body = _unescaped(str(found["text"])).partition("\n")
    if whole != title + body:
        raise ValueError("text and blocks differ")
    extra = {name: value for name, value in found.items() if name not in ("blocks", "text")}
    return Readable(tuple((name, json.dumps(extra[name])) for name in sorted(extra)), title, body)


def _unescaped(words: str) -> str:
    return words.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
