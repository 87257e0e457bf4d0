"""A mail's headers, decoded by any reader, say what the person was shown."""

import base64
import re
from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from opspilot_mcp import text as plain
from opspilot_mcp.gate import compose
from opspilot_mcp.gate.policy import FileChannel, GatePolicy
from tests.gate.conftest import NOON

_WORD = re.compile(r"=\?utf-8\?b\?([A-Za-z0-9+/=]+)\?=")
SCRIPTS = 'abc XYZ 019 äöüß žš سلام می‌خواهم हिन्दी שלום 日本語 한국어 👩‍👩‍👧 ❤️ =?utf-8?b?? "quoted" <a@b> , ; : \\ ( )'
WORDS = st.lists(st.text(alphabet=SCRIPTS, min_size=1, max_size=90), max_size=8).map(" ".join)


def sent(title: str, *, name: str = "Support", body: str = "b", recipient: str = "mira@example.org") -> bytes:
    words = compose.Words("reply", "T-1", title, body)
    policy = GatePolicy.model_validate({"sender": "support@example.org", "sender_name": name})
    channel = FileChannel(kind="file")
    return compose.build(
        words, channel, policy, recipient=recipient, event_id="e@x", references=["a@x", "b@x"], now=NOON
    )


def by_hand(content: bytes, header: str) -> str:
    """Decode a header as RFC 2047 says, with nothing of the mail library."""
    head = content.split(b"\r\n\r\n")[0].decode("ascii")
    value = re.search(rf"^{header}: ?([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", head, re.MULTILINE)
    assert value is not None
    joined = re.sub(r"\?=\r\n =\?", "?==?", value[1])
    parts = re.sub(r"((?:=\?[^ ]*\?=)+)", lambda run: _words(run[1]), joined)
    return parts.replace("\r\n", "")


def _words(run: str) -> str:
    return "".join(base64.b64decode(one).decode() for one in _WORD.findall(run))


@given(WORDS)
@settings(max_examples=300, deadline=None)
def test_any_subject_reads_as_it_was_shown(title: str) -> None:
    content = sent(title)

    shown = compose.read(content, "file", "reply").title
    legacy = message_from_bytes(content)["Subject"]
    assert shown == by_hand(content, "Subject") == str(make_header(decode_header(legacy))) == plain.one_line(title)


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_leaves_the_headers_ascii_short_and_alone(title: str) -> None:
    head = sent(title, body=title or "b").split(b"\r\n\r\n")[0].split(b"\r\n")

    assert head == [line for line in head if line.isascii() and len(line) <= 78]
    assert [line.split(b":")[0] for line in head if not line.startswith(b" ")] == [
        b"From", b"To", b"Subject", b"Date", b"Message-ID", b"In-Reply-To", b"References", b"Auto-Submitted",
        b"Content-Type", b"Content-Transfer-Encoding", b"MIME-Version",
    ]  # fmt: skip


@given(st.text(alphabet=SCRIPTS, min_size=1, max_size=80).filter(plain.one_line))
@settings(max_examples=200, deadline=None)
def test_any_senders_name_reads_as_it_was_set(name: str) -> None:
    content = sent("Re", name=name)

    legacy = str(make_header(decode_header(parseaddr(message_from_bytes(content)["From"].replace("\r\n", ""))[0])))
    assert legacy == plain.one_line(name)
    assert parseaddr(message_from_bytes(content)["From"])[1] == "support@example.org"
    assert dict(compose.read(content, "file", "reply").headers)["From"].endswith("<support@example.org>")


@given(st.text(max_size=500))
@settings(max_examples=200, deadline=None)
def test_any_body_reads_as_it_was_shown(body: str) -> None:
    shown = compose.read(sent("Re", body=body), "file", "reply").text

    assert shown == plain.clean(body).rstrip("\n") + "\n"


@pytest.mark.parametrize("local", ["a", "a" * 64])
def test_a_long_address_stays_in_one_piece(local: str) -> None:
    address = f"{local}@{'d' * 60}.{'e' * 60}.{'f' * 50}.example"
    content = sent("Re", recipient=address)

    assert f"To: {address}\r\n".encode() in content
    assert dict(compose.read(content, "file", "reply").headers)["To"] == address


@pytest.mark.parametrize(
    "sender", ["süd@example.org", "a@b\r\nBcc: eve@evil.example", "a b@example.org", "a@exämple.org"]
)
def test_a_sender_that_is_no_plain_address_is_refused(sender: str) -> None:
    with pytest.raises(ValidationError):
        GatePolicy.model_validate({"sender": sender})
