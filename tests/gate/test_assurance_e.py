"""ASSURANCE group E at the gate: what a message shows of itself before a person signs it."""

import base64
import json
import os
import re
from pathlib import Path

import pytest

from opspilot_mcp.gate import compose, links, risks, screen, secretsigns
from opspilot_mcp.gate.policy import FileChannel, GatePolicy
from opspilot_mcp.gate.risks import Context
from tests.gate.conftest import NOON, House

BENCH = Path(os.environ.get("OPSPILOT_BENCH", Path(__file__).parents[3] / "shared" / "bench")) / "injection"
POLICY = GatePolicy.model_validate({"risk": {"own_hosts": ["help.example.org"], "own_details": ["+44 20 7946 0000"]}})
SAFE = Context(
    kind="reply",
    channel_kind="file",
    recipient="mira@example.org",
    is_verified=True,
    is_known_recipient=True,
    thread="My order A-1042",
    known_hosts=frozenset({"known.example"}),
)


def flags(body: str, context: Context = SAFE) -> list[risks.Flag]:
    return risks.flags("Re: login", body, context, POLICY)


def codes(body: str) -> list[str]:
    return [flag.code for flag in flags(body)]


def corpus(name: str) -> list[dict[str, object]]:
    if not (BENCH / name).exists():
        pytest.skip("bench data is not beside the project: set OPSPILOT_BENCH")
    return [json.loads(line) for line in (BENCH / name).read_text().splitlines()]


# -- links (E08, E18) --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("see https://evil.example/x", "evil.example"),
        ("see HTTPS://EVIL.Example./x.", "evil.example"),
        ("[our site](https://evil.example/a)", "evil.example"),
        ("![logo](http://evil.example/p.png?d=1)", "evil.example"),
        ("![a](http://evil\n.example/p.png)", "evil.example"),
        ("[a][1]\n\n[1]: https://evil.example/z", "evil.example"),
        ('<img src="//evil.example/p">', "evil.example"),
        ("<img src=https://evil.example/p>", "evil.example"),
        ("background: url('https://evil.example/c')", "evil.example"),
        ("https://help.example.org@evil.example/", "evil.example"),
        ("https://help.example.org:x@evil.example:8080/", "evil.example"),
        ("https:\\\\evil.example\\x", "evil.example"),
        ("https:/evil.example/x", "evil.example"),
        ("http://2130706433/", "127.0.0.1"),
        ("http://0x7f.0.0.1/x", "127.0.0.1"),
        ("http://[::1]/x", "::1"),
        ("go to evil.example today", "evil.example"),
        ("www.evil.example", "www.evil.example"),
        ("10.0.0.1/login", "10.0.0.1"),
        ("https://\u0430pple.com/id", "xn--pple-43d.com"),
        ("https://xn--pple-43d.com/id", "xn--pple-43d.com"),
        ("https://evil%2eexample/x", "evil.example"),
        ("https://evil\uff0eexample/x", "evil.example"),
        ("ftp://evil.example/x", "evil.example"),
        ("mailto:eve@evil.example?subject=x", "evil.example"),
        ("https://bit.ly/x", "bit.ly"),
    ],
)
def test_e18_every_link_is_listed_with_its_real_host(text: str, host: str) -> None:
    assert host in {link.host for link in links.find(text)}


@pytest.mark.parametrize(
    ("text", "trick"),
    [
        ("https://help.example.org@evil.example/", "hides the host"),
        ("http://127.0.0.1/x", "bare address"),
        ("http://2130706433/", "bare address"),
        ("https://\u0430pple.com/", "look like others"),
        ("https://xn--pple-43d.com/", "look like others"),
        ("javascript:alert(1)", "javascript: link"),
        ("data:text/html;base64,AAAA", "data: link"),
        ("[https://help.example.org](https://evil.example)", "name another host"),
        ("[help.example.org/login](https://evil.example)", "name another host"),
        ('<a href="https://evil.example">help.example.org</a>', "name another host"),
        ("https://bit.ly/x", "shortener"),
        ("https://evil.example/", "never sent"),
    ],
)
def test_e18_tricks_make_a_link_high_risk(text: str, trick: str) -> None:
    found = [flag for flag in flags(text) if flag.code == "link"]

    assert any(trick in flag.text and flag.level == "high" for flag in found)


@pytest.mark.parametrize(
    "text", ["https://help.example.org/a", "https://known.example/x", "https://a.help.example.org"]
)
def test_own_and_known_hosts_are_listed_without_alarm(text: str) -> None:
    [flag] = [flag for flag in flags(text) if flag.code == "link"]

    assert flag.level == "note"


@pytest.mark.parametrize(
    "text", ["Please open config.yaml and README.md.", "e.g. this, i.e. that.", "It costs 3.50 today.", "and/or a.b"]
)
def test_plain_words_are_no_links(text: str) -> None:
    assert links.find(text) == []


def test_e08_no_link_or_markup_of_the_corpus_goes_unlisted() -> None:
    rows = [row for row in corpus("garak_pieces.jsonl") if row["kind"] in ("markdown_link_or_image", "web_html_js")]
    loading = re.compile(r"(?i)https?://[\w.]|<\s*(img|script|a|iframe)\b")

    missed = [row["id"] for row in rows if loading.search(str(row["text"])) and not codes(str(row["text"]))]

    assert missed == []


# -- hidden characters (E05, E06) --------------------------------------------------------------------------------------


def _built(body: str, title: str = "Re") -> bytes:
    words = compose.Words("reply", "T-1", title, body)
    return compose.build(
        words, FileChannel(kind="file"), POLICY, recipient="mira@example.org", event_id="e", references=[], now=NOON
    )


@pytest.mark.parametrize(
    "hidden", ["\U000e0041\U000e0042", "\u202e", "\u2066", "\u200b", "\x1b[31m", "\x07", "\ufeff", "\u00ad", "\x9b2J"]
)
def test_e05_hidden_characters_are_taken_out_and_said(hidden: str) -> None:
    body = f"Hello{hidden} Mira"

    read = compose.read(_built(body, f"Re{hidden}"), "file", "reply")

    assert hidden not in read.text + read.title
    assert "hidden_characters" in codes(body)


@pytest.mark.parametrize("text", ["سلام می‌خواهم", "क्‍ष हिन्दी", "👩‍👩‍👧 ❤️ 🇩🇪", "Grüße, naïve, Łódź, 日本語"])
def test_e06_real_spelling_comes_through_unchanged_and_unflagged(text: str) -> None:
    read = compose.read(_built(text), "file", "reply")

    assert read.text == f"{text}\n"
    assert "hidden_characters" not in codes(text)


def test_e05_no_control_or_tag_sign_of_the_corpora_is_left_in_what_is_sent() -> None:
    bad = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\U000e0000-\U000e01ef\u202a-\u202e]")
    rows = corpus("garak_pieces.jsonl") + corpus("bastioncorpus_dev.jsonl")

    left = [row["id"] for row in rows if bad.search(compose.read(_built(str(row["text"])), "file", "reply").text)]

    assert left == []


def test_words_of_mixed_scripts_are_shown() -> None:
    assert links.mixed_words("Your p\u0430ssword") == ["p\u0430ssword"]
    assert links.mixed_words("Пароль and password") == []


def test_terminal_shows_steering_characters_written_out() -> None:
    assert screen.safe("a\x1b[2Jb\u202ec\r") == "a<U+001B>[2Jb<U+202E>c<U+000D>"


async def test_title_cannot_add_a_header(house: House) -> None:
    message_id = await house.reply(title="Hi\r\nBcc: eve@example.org\r\n\r\nbody")

    headers = dict((await house.gate.view(message_id)).headers)

    assert "Bcc" not in headers
    assert headers["Subject"] == "Hi Bcc: eve@example.org body"
    assert headers["To"] == "mira@example.org"


# -- secrets (E15, E16) ------------------------------------------------------------------------------------------------

SECRETS = {
    "aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "slack": "xoxb-" + "123456789012-abcdefghijkl",
    "slack hook": "https://hooks.slack.com/services/" + "T000/B000/XXXXXXXXXXXX",
    "github": "ghp_" + "a1B2" * 9,
    "github fine": "github_pat_" + "A1b2" * 8,
    "gitlab": "glpat-" + "abcdefghij1234567890",
    "stripe": "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "jwt": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNHl0w5N",
    "pem": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "openssh": "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
    "db": "postgresql://app:" + "s3cret@db.internal:5432/x",
    "mongo": "mongodb+srv://u:" + "p4ss@cluster0.example.net",
    "redis": "redis://:" + "hunter2@cache:6379",
    "basic": "https://admin:" + "pw123@host.example/x",
    "google": "AIza" + "Sy" + "A" * 33,
    "anthropic": "sk-ant-api03-" + "a" * 40,
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_e15_secret_in_a_draft_blocks_it(secret: str) -> None:
    assert risks.tier(flags(f"Here it is: {secret}, use it.")) == "blocked"


@pytest.mark.parametrize(
    "text",
    [
        "Your ticket T-1042 and order 20261121-77 are fine.",
        "Commit 3f2a9d4c8b7e6f5a4d3c2b1a0f9e8d7c6b5a4938 fixes it.",
        "uuid 550e8400-e29b-41d4-a716-446655440000",
        "See https://help.example.org/reset?token=short",
        "The task-list-view-is-a-long-kebab-case-identifier-name-here works.",
    ],
)
def test_e15_ordinary_text_is_not_blocked(text: str) -> None:
    assert risks.tier(flags(text)) != "blocked"


def _disguises(secret: str) -> dict[str, str]:
    return {
        "newline": secret[:10] + "\n" + secret[10:],
        "zero width": "\u200b".join(secret),
        "spaced": " ".join(secret),
        "reversed": secret[::-1],
        "base64": base64.b64encode(secret.encode()).decode(),
        "hex": secret.encode().hex(),
    }


def test_e16_recall_of_disguised_secrets_is_what_the_docs_say() -> None:
    tried = [
        form for name in ("aws", "slack", "github", "stripe", "jwt") for form in _disguises(SECRETS[name]).values()
    ]

    found = [form for form in tried if secretsigns.disguised(f"Key: {form} .") or secretsigns.clear(form)]

    assert len(found) / len(tried) >= 0.9


def test_secret_never_stands_in_its_own_flag() -> None:
    shown = " ".join(flag.text for flag in flags(f"key {SECRETS['aws']}"))

    assert SECRETS["aws"] not in shown


# -- other customers (E14 at the gate) ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["Write to bob@example.org", "call +49 30 1234567", "order B-99881 is yours", "order #4711 was moved"]
)
def test_details_that_are_not_in_the_thread_are_flagged(text: str) -> None:
    assert "foreign_detail" in codes(text)


@pytest.mark.parametrize(
    "text", ["Your order A-1042 left.", "order a 1042", "We sent it to mira@example.org", "Call +44 20 7946 0000"]
)
def test_own_details_are_not_flagged(text: str) -> None:
    assert "foreign_detail" not in codes(text)


# -- bombs (E12) -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    ["a" * 20_000, "[" * 20_000, "<a href=" * 2_500, "!" * 20_000, "1" * 20_000, "a." * 10_000, "a@" * 10_000,
     "http://" * 2_800, "\u0301" * 20_000, "x\n" * 10_000, "[a](" * 5_000, "(1) " * 5_000, "eyJ" * 6_000,
     "//a.bc" * 3_000, "aws secret " * 1_800, "A1-" * 6_600, "\\x41 " * 4_000],
    ids=lambda body: ascii(body[:8]),
)  # fmt: skip
@pytest.mark.timeout(60)  # well under a second; a pattern that backtracks would take hours
def test_e12_every_draft_is_examined_to_its_end(body: str) -> None:
    assert all(flag.code and flag.text for flag in flags(body))


def test_e20_corpus_texts_never_lower_the_tier() -> None:
    unverified = SAFE.model_copy(update={"is_verified": False})

    tiers = {risks.tier(flags(str(row["text"]), unverified)) for row in corpus("bastioncorpus_dev.jsonl")}

    assert "normal" not in tiers
