"""A person's walk: read, sign, undo, edit, reject, hold, resolve; always over the bytes that were shown."""

import hashlib
from collections.abc import Callable

from sqlalchemy import Connection, update

from opspilot_mcp import proposals
from opspilot_mcp.console import app as console
from opspilot_mcp.gate import state
from opspilot_mcp.gate.schema import messages
from tests.console.conftest import Browser, Time, signed_in
from tests.gate.conftest import MINUTE, NOON, PASSPHRASE, House

SMTP = '[channels.replies]\nkind = "smtp"\nhost = "127.0.0.1"\n[channels.oncall]\nkind = "file"\n'


async def test_a_page_is_read_signed_and_sent_as_shown(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await ana.get(f"/messages/{message_id}")
    shown = ana.form(f"/messages/{message_id}/approve")["sha256"]

    await ana.press(f"/messages/{message_id}/approve")
    await house.tick(NOON + 1000)

    [content] = house.sent().values()
    assert hashlib.sha256(content).hexdigest() == shown
    assert "Signed." in ana.words


async def test_the_exact_bytes_can_be_taken_away(ana: Browser, house: House) -> None:
    message_id = await house.reply()
    view = await house.gate.view(message_id)

    answer = await ana.get(f"/messages/{message_id}/bytes")

    assert hashlib.sha256(answer.content).hexdigest() == view.message.sha256
    assert answer.headers["content-disposition"] == f'attachment; filename="{message_id}.v1.eml"'


async def test_solo_high_risk_asks_for_passphrase_and_recipient(ana: Browser, house: House) -> None:
    message_id = await house.reply()
    approve = f"/messages/{message_id}/approve"
    await ana.get(f"/messages/{message_id}")

    await ana.press(approve, recipient="mira@example.org", passphrase="")
    without_passphrase = ana.words
    await ana.press(approve, recipient="mira@example.com", passphrase=PASSPHRASE)
    wrong_recipient = ana.words
    await ana.press(approve, recipient="mira@example.org", passphrase=PASSPHRASE)

    assert "type your passphrase again" in without_passphrase
    assert "type the recipient exactly" in wrong_recipient
    assert await house.state(message_id) == "approved"


async def test_a_passphrase_is_never_shown_again(ana: Browser, house: House) -> None:
    message_id = await house.reply()
    await ana.get(f"/messages/{message_id}")

    await ana.press(f"/messages/{message_id}/approve", recipient="mira@example", passphrase=PASSPHRASE)

    assert PASSPHRASE not in ana.page
    assert 'value="mira@example"' in ana.page


async def test_two_people_sign_high_risk_and_one_person_counts_once(
    ana: Browser, open_browser: Callable[[], Browser], house: House
) -> None:
    await house.add_approver("bea")
    message_id, bea = await house.reply(), signed_in(open_browser(), house, "bea")

    await ana.get(f"/messages/{message_id}")
    await ana.press(f"/messages/{message_id}/approve")
    after_one, words = await house.state(message_id), ana.words
    await bea.get(f"/messages/{message_id}")
    await bea.press(f"/messages/{message_id}/approve")

    assert (after_one, await house.state(message_id)) == ("pending", "approved")
    assert "1 of 2" in words
    assert f"/messages/{message_id}/approve" not in ana.page


async def test_an_approval_is_undone_inside_its_window(house: House, time: Time) -> None:
    await house.settings(SMTP)
    browser = signed_in(Browser(console.build(house.gate, now=time)), house)
    message_id = await house.reply()
    await browser.get(f"/messages/{message_id}")
    await browser.press(f"/messages/{message_id}/approve", recipient="mira@example.org", passphrase=PASSPHRASE)
    said = browser.words

    await browser.press(f"/messages/{message_id}/hold")
    await house.tick(NOON + 60_000)

    assert "It leaves in 30 s; until then you can undo it." in said
    assert await house.state(message_id) == "held"
    await browser.http.aclose()


async def test_a_hold_is_lifted_and_signed_again(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await ana.get(f"/messages/{message_id}")
    await ana.press(f"/messages/{message_id}/hold")

    await ana.press(f"/messages/{message_id}/lift")
    await ana.press(f"/messages/{message_id}/approve")

    assert await house.state(message_id) == "approved"


async def test_rejecting_needs_a_reason_and_tells_the_agent(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await ana.get(f"/messages/{message_id}")
    await ana.press(f"/messages/{message_id}/reject", reason=" ")
    refused = await house.state(message_id)

    await ana.press(f"/messages/{message_id}/reject", reason="Wrong team.")

    assert refused == "pending"
    assert await house.state(message_id) == "rejected"
    assert "Wrong team." in str((await house.told(message_id)).outcome_detail)


async def test_edited_words_are_looked_at_then_signed(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await ana.get(f"/messages/{message_id}")

    await ana.press(f"/messages/{message_id}/edit", title="db-1", body="Call Ana.\r\nNow.", then="look")
    words = ana.words
    await ana.press(f"/messages/{message_id}/approve")
    await house.tick(NOON + 1000)

    [(name, content)] = house.sent().items()
    assert name == f"{message_id}.v2.json"
    assert b"Call Ana.\\nNow." in content
    assert "Version 2 is stored" in words
    assert "−Primary database does not answer." in words


async def test_edited_words_can_be_signed_at_once(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await ana.get(f"/messages/{message_id}")

    await ana.press(f"/messages/{message_id}/edit", title="db-1", body="Call Ana.", then="sign")

    view = await house.gate.view(message_id)
    assert (view.message.version, view.message.state, view.text) == (2, "approved", "Call Ana.")


async def test_words_written_too_slowly_can_be_copied(ana: Browser, house: House, time: Time) -> None:
    message_id = await house.page()
    await ana.get(f"/messages/{message_id}")
    time.now = NOON + 20 * MINUTE

    answer = await ana.press(f"/messages/{message_id}/edit", title="db-1", body="A long answer & more.", then="sign")

    assert answer.status_code == 401
    assert "A long answer &amp; more.</textarea>" in ana.page
    assert f'name="to" value="/messages/{message_id}"' in ana.page


async def test_words_that_turn_out_high_risk_are_not_signed_unseen(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await ana.get(f"/messages/{message_id}")

    await ana.press(f"/messages/{message_id}/edit", title="db-1", body="See https://new.example/x", then="sign")

    view = await house.gate.view(message_id)
    assert (view.message.version, view.message.state) == (1, "pending")
    assert "See https://new.example/x" in ana.page


async def test_a_signature_is_for_the_version_that_was_shown(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await ana.get(f"/messages/{message_id}")
    sha256 = (await house.gate.view(message_id)).message.sha256
    await house.gate.edit(
        house.session("ana"), message_id, title="db-1", body="Other words.", shown_sha256=sha256, now=NOON
    )

    answer = await ana.press(f"/messages/{message_id}/approve")

    assert answer.status_code == 409
    assert await house.state(message_id) == "pending"
    assert "Other words." in ana.words


async def test_a_message_withdrawn_meanwhile_is_not_signed(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await ana.get(f"/messages/{message_id}")
    await house.desk.write(proposals.ask, message_id, "withdraw", principal="agent:claude", now=NOON)

    answer = await ana.press(f"/messages/{message_id}/approve")

    assert answer.status_code == 409
    assert await house.state(message_id) == "withdrawn"


async def test_a_withdrawn_message_names_who_did_it_and_can_be_brought_back(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await house.desk.write(proposals.ask, message_id, "withdraw", principal="agent:claude", now=NOON)
    await house.gate.sync(now=NOON)
    await ana.get(f"/messages/{message_id}")
    said = ana.words

    await ana.press(f"/messages/{message_id}/lift")

    assert "withdrawn by agent:claude" in said
    assert await house.state(message_id) == "pending"


def _force(conn: Connection, state: str) -> None:
    conn.execute(update(messages).values(state=state, detail="the sender stopped in the middle"))


async def test_an_uncertain_message_says_what_to_look_for_and_is_resolved(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await house.gate.db.write(_force, "uncertain")
    await ana.get(f"/messages/{message_id}")
    words = ana.words

    await ana.press(f"/messages/{message_id}/resolve", at=1)

    assert f"Look in gate/sent for {message_id}.v1." in words
    assert await house.state(message_id) == "pending"


async def test_the_kill_switch_is_on_every_page_and_released_by_a_person(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await ana.get(f"/messages/{message_id}")

    await ana.press("/gate/kill")
    stopped = ana.words
    await house.approve(message_id)
    await house.tick(NOON + 1000)
    kept = house.sent()
    await ana.press("/gate/release")
    await house.tick(NOON + 2000)

    assert "Nothing leaves" in stopped
    assert kept == {}
    assert len(house.sent()) == 1


async def test_an_altered_snapshot_can_only_be_rejected(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await house.gate.db.write(_alter)

    answer = await ana.get(f"/messages/{message_id}")

    assert answer.status_code == 409
    assert f"/messages/{message_id}/approve" not in ana.page
    assert f"/messages/{message_id}/reject" in ana.page


def _alter(conn: Connection) -> None:
    for (name,) in conn.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        conn.exec_driver_sql(f'DROP TRIGGER "{name}"')
    conn.execute(update(messages).values(content=b"other bytes"))


async def test_in_quarantine_nothing_can_be_signed_until_a_person_has_looked(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await house.gate.db.write(lambda conn: state.set_quarantine(conn, "restored from a backup", "gate", now=NOON))
    await ana.get(f"/messages/{message_id}")
    page, said = ana.page, ana.words

    await ana.get("/gate")
    await ana.press("/gate/end-quarantine")

    assert f"/messages/{message_id}/approve" not in page
    assert "Quarantine. Nothing leaves: restored from a backup" in said
    assert (await house.gate.db.read(state.read)).quarantine is None


async def test_whoever_proposed_is_offered_no_signature(ana: Browser, house: House) -> None:
    await house.add_approver("bea")
    message_id = await house.page(principal="operator:Ana")

    await ana.get(f"/messages/{message_id}")

    assert f"/messages/{message_id}/approve" not in ana.page
    assert "another approver must sign it" in ana.words


async def test_decisions_say_who_decided(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await ana.get(f"/messages/{message_id}")

    await ana.press(f"/messages/{message_id}/hold")

    assert "held by person:ana" in (await house.gate.view(message_id)).message.detail
