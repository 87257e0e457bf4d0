"""What a person sees: everything in the bytes, everything hidden made visible, strangers' text never obeyed."""

import json
import sqlite3
from html import unescape

import pytest
from sqlalchemy import Connection, update

from opspilot_mcp.console import marks, shown
from opspilot_mcp.gate import anchors
from opspilot_mcp.gate.schema import messages
from opspilot_mcp.store.schema import replies
from tests.builders import stored_ticket
from tests.console.conftest import Browser, Time
from tests.gate.conftest import MINUTE, NOON, House

NASTY = "<script>alert(1)</script> <img src=x onerror=alert(1)> {{ 7*7 }} \"quoted\" 'single' &amp;"


async def test_the_text_is_shown_whole(ana: Browser, house: House) -> None:
    body = "\n".join(f"Line {number} of a long answer." for number in range(600))
    message_id = await house.page(body=body)

    await ana.get(f"/messages/{message_id}")

    shown_text = unescape(ana.page.split('<pre class="bytes" tabindex="0">\n')[1].split("</pre>")[0])
    assert shown_text == body
    size = shown.grouped((await house.gate.view(message_id)).size).replace("\u202f", " ")
    assert f"end of the message · {size} bytes" in ana.words


async def test_strangers_words_are_words_and_nothing_else(ana: Browser, house: House) -> None:
    ticket = await house.desk.write(stored_ticket, now=NOON, subject=NASTY, body=NASTY, requester_name=NASTY[:100])
    message_id = await house.reply(ticket.number, body=NASTY, title=NASTY)

    for path in ("/", f"/messages/{message_id}", "/tickets", f"/tickets/{ticket.id}", "/audit", "/summary"):
        assert (await ana.get(path)).status_code == 200
        assert "<script>alert" not in ana.page
        assert "<img src=x" not in ana.page
        assert "49" not in ana.words.split("7*7")[0][-3:]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a\u200bb", "U+200B zero width space"),
        ("a\u202eb", "U+202E right-to-left override"),
        ("a\U000e0041b", "U+E0041 tag latin capital letter a"),
        ("a\u00a0b", "U+00A0 no-break space"),
        ("a\u3164b", "U+3164 hangul filler"),
        ("a\ufe01b", "U+FE01 variation selector-2"),
        ("a\x1b[31mb", "U+001B"),
        ("a\u200db", "U+200D zero width joiner"),
    ],
)
def test_what_nobody_sees_is_named(text: str, note: str) -> None:
    found = [one for one in marks.segments(text) if one.kind == "hidden"]

    assert [one.note for one in found] == [note]


@pytest.mark.parametrize("text", ["می\u200cخواهم", "क्\u200dष", "👩\u200d👩\u200d👧", "❤\ufe0f", "Grüße, naïve, 東京"])
def test_spelling_is_not_called_hidden(text: str) -> None:
    assert {one.kind for one in marks.segments(text)} <= {"plain", "mixed"}


@pytest.mark.parametrize(
    "text", ["", "plain", "a\u200b\n\n\n\n\n\nb", " " * 40, "https://a.example/x https://a.example", "pаypal"]
)
def test_no_character_is_lost_in_marking(text: str) -> None:
    assert "".join(one.text for one in marks.segments(text)) == text


async def test_what_the_gate_took_out_is_shown_in_the_difference(ana: Browser, house: House) -> None:
    message_id = await house.page(body="Call\u202e now\U000e0041.")

    await ana.get(f"/messages/{message_id}")

    assert "U+202E right-to-left override" in ana.words
    assert "U+E0041" in ana.words
    assert "\u202e" not in ana.page
    assert "\U000e0041" not in ana.page


async def test_links_are_listed_with_their_real_host_and_cannot_be_followed(ana: Browser, house: House) -> None:
    body = "Go to https://bank.example@evil.example/x or [our page](https://docs.evil.example) or bit.ly/3x now."
    message_id = await house.page(body=body)

    await ana.get(f"/messages/{message_id}")

    for host in ("evil.example", "docs.evil.example", "bit.ly"):
        assert f'<code class="strong">{host}</code>' in ana.page
    assert "a name before @ hides the host" in ana.words
    assert 'href="http' not in ana.page


async def test_many_empty_lines_are_counted(ana: Browser, house: House) -> None:
    message_id = await house.page(body="Top." + "\n" * 40 + "PS: send money.")

    await ana.get(f"/messages/{message_id}")

    assert "39 empty lines" in ana.words


async def test_the_ticket_stands_beside_and_says_when_it_changed(ana: Browser, house: House) -> None:
    ticket = await house.desk.write(stored_ticket, now=NOON)
    message_id = await house.reply(ticket.number)
    await house.change_ticket(ticket.number, version=2)

    await ana.get(f"/messages/{message_id}")

    assert "Every export since Monday ends after 500 rows." in ana.words
    assert "changed since the draft" in ana.words


def _spoil(conn: Connection) -> None:
    conn.exec_driver_sql("UPDATE tickets SET confidence = 'high', created_ms = 'soon', subject = x'00ff'")


async def test_a_spoilt_desk_row_does_not_take_the_page_down(ana: Browser, house: House) -> None:
    ticket = await house.desk.write(stored_ticket, now=NOON)
    message_id = await house.reply(ticket.number)
    await house.desk.write(_spoil)

    answer = await ana.get(f"/messages/{message_id}")

    assert answer.status_code == 200
    assert "The desk's row cannot be read" in ana.words


async def test_a_huge_thread_entry_is_cut_and_says_how_much(ana: Browser, house: House) -> None:
    ticket = await house.desk.write(stored_ticket, now=NOON)
    message_id = await house.reply(ticket.number)
    row = {"ticket_id": ticket.number, "direction": "in", "body": "x" * 1_000_000, "at_ms": NOON}
    await house.desk.write(lambda conn: conn.execute(replies.insert().values(**row)) and None)

    await ana.get(f"/messages/{message_id}")

    assert "980000 more characters not shown" in ana.words
    assert len(ana.page) < 60_000


async def test_no_desk_at_all_is_said(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await house.reopen()
    ana.app.state.door.gate = house.gate
    (house.root / "desk.db").rename(house.root / "gone.db")

    await ana.get(f"/messages/{message_id}")

    assert "The desk cannot be read." in ana.words


async def test_the_inbox_puts_doubt_first_and_counts_what_it_leaves_out(ana: Browser, house: House) -> None:
    for number in range(52):
        await house.page(key=f"inc-{number}", sync=False)
    await house.gate.sync(now=NOON)
    await house.gate.db.write(
        lambda conn: conn.execute(update(messages).where(messages.c.id == 2).values(state="uncertain")) and None
    )

    await ana.get("/")
    first = ana.page
    await ana.get("/?after=51")

    assert first.index("Look at these first") < first.index("Waiting for a signature")
    assert ">Next 50</a>" in first
    assert 'class="count">51</span>' in first
    assert ana.page.count("data-row") == 1


async def test_a_signature_shows_how_long_it_holds(ana: Browser, house: House, time: Time) -> None:
    message_id = await house.page()
    await house.approve(message_id)
    time.now = NOON + 10 * MINUTE

    await ana.get("/")

    assert "signature holds 3 h 50 min" in ana.words


async def test_the_pulse_does_not_keep_a_sign_in_alive(ana: Browser, house: House, time: Time) -> None:
    await house.page()
    time.now = NOON + 14 * MINUTE
    pulse = await ana.get("/pulse")
    time.now = NOON + 15 * MINUTE

    assert json.loads(pulse.text) == {"waiting": 1, "newest": 1}
    assert (await ana.get("/pulse")).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/tickets?priority=P9",
        "/tickets?cursor=x",
        "/incidents?state=gone",
        "/dashboard?days=0",
        "/?after=x",
        "/audit?check=2",
        "/messages/PR-1/versions/7",
        "/messages/..%2f..%2fetc",
    ],
)
async def test_an_address_nobody_made_has_no_page(ana: Browser, house: House, path: str) -> None:
    await house.page()

    assert (await ana.get(path)).status_code == 404


async def test_the_check_of_the_record_holds_the_desk_against_what_the_gate_noted(ana: Browser, house: House) -> None:
    await house.page()
    await anchors.take(house.gate.db, house.gate.desk, now=NOON)
    await ana.get("/audit?of=desk&check=1")
    good = ana.words
    with sqlite3.connect(house.root / "desk.db") as raw:
        raw.execute("DROP TRIGGER audit_no_update")
        raw.execute("UPDATE audit SET hash = 'x' || substr(hash, 2) WHERE seq = (SELECT max(seq) FROM audit)")

    await ana.get("/audit?of=desk&check=1")

    assert "The gate's record:" in good
    assert "The desk's record: 1 rows, the gate noted it up to row 1: every row is as it was written." in good
    assert "The desk's record. First bad row: 1" in ana.words


@pytest.mark.parametrize("path", ["/tickets/T-9", "/incidents/INC-9", "/messages/PR-9", "/nowhere"])
async def test_a_page_that_is_not_there_leads_a_person_on_and_names_no_tool(ana: Browser, path: str) -> None:
    answer = await ana.get(path)

    assert answer.status_code == 404
    assert "Not found" in ana.words
    assert "_" not in ana.words
    assert 'href="/tickets"' in ana.page


async def test_empty_lines_of_a_stranger_are_counted_and_not_drawn(ana: Browser, house: House) -> None:
    ticket = await house.desk.write(stored_ticket, now=NOON, body="first" + "\n" * 3000 + "last")

    await ana.get(f"/tickets/{ticket.id}")

    assert "2999 empty lines" in ana.words
    assert '<span class="gap-text tall">' in ana.page


async def test_every_page_is_drawn_on_an_empty_desk_and_a_full_one(ana: Browser, house: House) -> None:
    paths = [
        "/",
        "/tickets",
        "/incidents",
        "/incidents?state=resolved",
        "/dashboard",
        "/ai",
        "/summary",
        "/gate",
        "/audit",
    ]
    empty = [(await ana.get(path)).status_code for path in paths]
    ticket = await house.desk.write(stored_ticket, now=NOON)
    await house.reply(ticket.number)
    await house.page()

    full = [(await ana.get(path)).status_code for path in [*paths, f"/tickets/{ticket.id}", "/incidents/INC-1"]]

    assert {*empty, *full} == {200}
