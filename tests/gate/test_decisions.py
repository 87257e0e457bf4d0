"""What people decide, and what agents can ask for: every way a message can stop, wait or go on."""

from pathlib import Path

import pytest
from sqlalchemy import select, update

from opspilot_mcp import proposals
from opspilot_mcp.errors import BadSetting, Conflict, IllegalMove, InvalidInput, NotAllowed
from opspilot_mcp.gate import policy as gate_policy
from opspilot_mcp.gate.policy import GatePolicy
from opspilot_mcp.gate.schema import messages
from opspilot_mcp.gate.service import Gate
from opspilot_mcp.store.schema import proposals as desk_proposals
from opspilot_mcp.store.schema import tickets
from tests.gate.conftest import HOUR, MINUTE, NOON, House, reply_row

TWO_FILES = '[channels.replies]\nkind = "file"\n[channels.oncall]\nkind = "file"\n'


async def test_rejected_message_never_leaves_and_says_why(house: House) -> None:
    message_id = await house.page()

    await house.gate.reject(message_id, by="terminal:0", reason="wrong team", now=NOON)
    await house.tick(NOON + MINUTE)

    told = await house.told(message_id)
    assert (house.sent(), told.state) == ({}, "rejected")
    assert "wrong team" in (told.outcome_detail or "")


async def test_sent_message_cannot_be_rejected(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)
    await house.tick(NOON + MINUTE)

    with pytest.raises(IllegalMove):
        await house.gate.reject(message_id, by="terminal:0", reason="too late", now=NOON + MINUTE)


@pytest.mark.parametrize("asked", ["hold", "withdraw"])
async def test_a11_agents_side_stops_a_signed_message(house: House, asked: str) -> None:
    message_id = await house.page()
    await house.approve(message_id)

    await house.desk.write(proposals.ask, message_id, asked, principal="agent:x", now=NOON)  # type: ignore[arg-type]
    await house.tick(NOON + MINUTE)

    assert (house.sent(), await house.state(message_id)) == ({}, "held")


async def test_a11_agents_side_cannot_lift_a_hold(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)
    await house.desk.write(proposals.ask, message_id, "hold", principal="agent:x", now=NOON)
    await house.tick(NOON)

    await house.desk.write(lambda conn: conn.execute(update(desk_proposals).values(asked="send", outcome="approved")))
    await house.tick(NOON + MINUTE)

    assert house.sent() == {}
    assert await house.state(message_id) == "held"


async def test_lifted_message_needs_a_new_signature_and_can_be_held_again(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)
    await house.desk.write(proposals.ask, message_id, "hold", principal="agent:x", now=NOON)
    await house.gate.sync(now=NOON)

    await house.gate.lift(house.session("ana"), message_id, now=NOON)
    await house.tick(NOON + MINUTE)
    assert (house.sent(), await house.state(message_id)) == ({}, "pending")
    assert (await house.gate.view(message_id)).signed_by == []

    await house.desk.write(proposals.ask, message_id, "hold", principal="agent:x", now=NOON)
    await house.gate.sync(now=NOON)
    assert await house.state(message_id) == "held"


async def test_kill_stops_signed_messages_until_a_person_releases(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)

    await house.gate.kill(by="terminal:0", now=NOON)
    await house.tick(NOON + MINUTE)
    assert house.sent() == {}
    assert (await house.desk.read(proposals.gate_state, now=NOON + MINUTE)).killed

    await house.gate.release(house.session("ana", NOON + MINUTE), now=NOON + MINUTE)
    await house.tick(NOON + 2 * MINUTE)
    assert len(house.sent()) == 1


async def test_kill_holds_between_choosing_and_claiming(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)
    await house.gate.kill(by="terminal:0", now=NOON)

    await house.gate.turns.deliver(1, 1, lambda: NOON + MINUTE)

    assert (house.sent(), await house.state(message_id)) == ({}, "approved")


async def test_cap_lets_no_more_than_its_number_leave_in_an_hour(house: House) -> None:
    await house.settings("[limits]\nper_hour = 2\n" + TWO_FILES)
    for number in range(3):
        await house.approve(await house.page(key=f"inc-{number}", title=f"page {number}"))

    await house.tick(NOON + MINUTE)
    await house.tick(NOON + HOUR)
    assert len(house.sent()) == 2

    await house.tick(NOON + HOUR + 2 * MINUTE)
    assert len(house.sent()) == 3


async def test_high_risk_solo_needs_passphrase_and_recipient(house: House) -> None:
    message_id = await house.reply()

    with pytest.raises(NotAllowed, match="passphrase again"):
        await house.approve(message_id, fresh=False)
    with pytest.raises(NotAllowed, match="recipient exactly"):
        await house.approve(message_id, typed="mira@example.com")

    assert (await house.approve(message_id)).state == "approved"


async def test_second_reply_to_a_verified_requester_is_normal_risk(house: House) -> None:
    ticket = await house.ticket()
    first = await house.reply(ticket)
    await house.approve(first)
    await house.tick(NOON + 1)

    second = await house.reply(ticket, body="One more thing.")

    assert (await house.gate.view(second)).message.risk == "normal"
    assert (await house.approve(second, fresh=False, typed=None)).state == "approved"


async def test_unverified_requester_stays_high_risk(house: House) -> None:
    ticket = await house.ticket(verified=False)
    await house.approve(first := await house.reply(ticket))
    await house.tick(NOON + 1)

    second = (await house.gate.view(await house.reply(ticket))).message

    assert [flag.code for flag in second.flags] == ["unverified_requester"]
    assert (second.risk, await house.state(first)) == ("high", "sent")


async def test_edited_version_is_what_is_sent(house: House) -> None:
    message_id = await house.page()
    seen = (await house.gate.view(message_id)).message

    await house.gate.edit_and_approve(
        house.session("ana"), message_id, title="db-1", body="Fixed wording.", shown_sha256=seen.sha256, now=NOON
    )
    await house.tick(NOON + MINUTE)

    assert list(house.sent()) == [f"{message_id}.v2.json"]
    assert b"Fixed wording." in house.sent()[f"{message_id}.v2.json"]


async def test_edit_voids_the_signatures_of_the_version_before(house: House) -> None:
    await house.add_approver("bob")
    message_id = await house.reply()
    await house.approve(message_id)
    seen = (await house.gate.view(message_id)).message

    await house.gate.edit(
        house.session("bob"), message_id, title="Re:", body="Other words.", shown_sha256=seen.sha256, now=NOON
    )

    view = await house.gate.view(message_id)
    assert (view.message.version, view.signed_by) == (2, [])
    assert any(line == "+Other words." for line in view.difference)


async def test_secret_blocks_signing_until_it_is_edited_out(house: House) -> None:
    message_id = await house.page(body="key AKIAIOSFODNN7EXAMPLE")
    with pytest.raises(NotAllowed, match="secret"):
        await house.approve(message_id)
    seen = (await house.gate.view(message_id)).message

    await house.gate.edit_and_approve(
        house.session("ana"), message_id, title="db-1", body="no key", shown_sha256=seen.sha256, now=NOON
    )

    assert await house.state(message_id) == "approved"


async def test_edit_is_refused_when_the_desks_row_was_changed(house: House) -> None:
    message_id = await house.page()
    seen = (await house.gate.view(message_id)).message
    await house.desk.write(lambda conn: conn.execute(update(desk_proposals).values(channel="replies")))

    with pytest.raises(Conflict):
        await house.gate.edit(house.session("ana"), message_id, title="t", body="b", shown_sha256=seen.sha256, now=NOON)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
async def test_rejecting_needs_a_reason_of_some_size(house: House, reason: str) -> None:
    message_id = await house.page()

    with pytest.raises(InvalidInput):
        await house.gate.reject(message_id, by="terminal:0", reason=reason, now=NOON)


async def test_ticket_that_moved_on_is_shown_as_a_warning(house: House) -> None:
    ticket = await house.ticket()
    message_id = await house.reply(ticket)

    await house.change_ticket(ticket, version=3)
    await house.gate.sync(now=NOON)

    [warning] = (await house.gate.view(message_id)).message.warnings
    assert "version 1 to 3" in warning


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"status": "closed"}, "closed"),
        ({"merged_into": 2, "status": "closed"}, "merged"),
        ({"requester_id": None}, "requester"),
    ],
)
async def test_proposal_on_a_ticket_it_does_not_fit_is_answered_at_once(
    house: House, change: dict[str, object], says: str
) -> None:
    ticket, _ = await house.ticket(), await house.ticket()
    message_id = await house.reply(ticket, sync=False)
    await house.change_ticket(ticket, **change)

    await house.gate.sync(now=NOON)

    told = await house.told(message_id)
    assert told.state == "rejected"
    assert says in (told.outcome_detail or "")


async def test_unknown_alias_is_answered_with_the_reason(house: House) -> None:
    message_id = await house.page(channel="nowhere")

    told = await house.told(message_id)

    assert told.state == "rejected"
    assert "gate.toml" in (told.outcome_detail or "")


@pytest.mark.parametrize("address", ["", "a b@example.org", "a@b, c@d", "m\u0456ra@example.org", "a@b\r\nBcc: x@y"])
async def test_reply_to_no_plain_address_is_refused(house: House, address: str) -> None:
    message_id = await house.reply(await house.ticket(address=address))

    assert (await house.told(message_id)).state == "rejected"


async def test_a12_no_state_but_sent_is_told_as_sent(house: House) -> None:
    ids = [await house.page(key=f"inc-{n}", title=f"p{n}") for n in range(3)]
    await house.approve(ids[0])
    await house.gate.db.write(
        lambda conn: conn.execute(update(messages).where(messages.c.id == 2).values(state="uncertain", mirrored=False))
    )
    await house.gate.tell(now=NOON)

    told = [await house.told(one) for one in ids]

    assert [one.state for one in told] == ["approved", "uncertain", "pending"]
    assert all("sent yet" in (one.outcome_detail or "") or "person" in (one.outcome_detail or "") for one in told)


async def test_content_code_is_the_same_on_the_screen_and_in_the_agents_answer(house: House) -> None:
    message_id = await house.page()

    code = (await house.gate.view(message_id)).code

    assert code in ((await house.told(message_id)).outcome_detail or "")


async def test_uncertain_message_goes_on_only_through_a_person(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)
    await house.gate.db.write(lambda conn: conn.execute(update(messages).values(state="uncertain")))
    with pytest.raises(IllegalMove):
        await house.approve(message_id)
    await house.tick(NOON + MINUTE)
    assert house.sent() == {}

    await house.gate.resolve(house.session("ana"), message_id, was_sent=False, now=NOON)
    await house.approve(message_id)
    await house.tick(NOON + 2 * MINUTE)

    assert len(house.sent()) == 1


async def test_uncertain_message_seen_to_have_arrived_is_sent(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)
    await house.gate.db.write(lambda conn: conn.execute(update(messages).values(state="uncertain")))

    await house.gate.resolve(house.session("ana"), message_id, was_sent=True, now=NOON)

    assert (await house.told(message_id)).state == "sent"


async def test_restored_backup_starts_in_quarantine_and_sends_nothing_twice(house: House) -> None:
    waiting, signed = await house.page(), await house.page(key="inc-2", title="two")
    await house.approve(signed)
    backup = house.gate.home.gate_db.read_bytes()
    await house.tick(NOON + MINUTE)
    await house.gate.close()
    house.gate.home.gate_db.write_bytes(backup)
    house.gate = await Gate.open(house.root, now=NOON + 2 * MINUTE)

    await house.tick(NOON + 3 * MINUTE)

    assert len(house.sent()) == 1
    assert [await house.state(one) for one in (signed, waiting)] == ["uncertain", "held"]
    with pytest.raises(IllegalMove):
        await house.approve(waiting, now=NOON + 3 * MINUTE)


async def test_quarantine_ends_by_a_persons_word(house: House) -> None:
    await house.gate.quarantine("restored", now=NOON)
    message_id = await house.page()
    with pytest.raises(NotAllowed, match="quarantine"):
        await house.approve(message_id)

    await house.gate.end_quarantine(house.session("ana"), now=NOON)
    await house.approve(message_id)
    await house.tick(NOON + MINUTE)

    assert len(house.sent()) == 1


async def test_clock_put_right_after_running_ahead_voids_what_was_signed(house: House) -> None:
    message_id = await house.page(now=NOON)
    await house.approve(message_id, now=NOON + 100 * HOUR)

    await house.gate.accept_clock(house.session("ana", NOON + 100 * HOUR), now=NOON)
    await house.tick(NOON + MINUTE)

    assert (house.sent(), await house.state(message_id)) == ({}, "pending")


async def test_changed_destination_of_an_alias_voids_the_signature(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)

    await house.settings(
        '[channels.replies]\nkind = "file"\n[channels.oncall]\nkind = "webhook"\nurl = "https://example.org/x"\n'
        'secret_env = "OPSPILOT_GATE_X"\n'
    )
    await house.tick(NOON + MINUTE)

    assert await house.state(message_id) == "void"


async def test_reply_cannot_go_to_a_channel_of_pages(house: House) -> None:
    await house.settings(
        TWO_FILES + '[channels.hook]\nkind = "webhook"\nurl = "https://example.org/x"\nsecret_env = "OPSPILOT_GATE_X"\n'
    )

    message_id = await house.reply(channel="hook")

    assert (await house.told(message_id)).state == "rejected"


async def test_heartbeat_says_that_the_gate_runs(house: House) -> None:
    await house.tick(NOON)

    fresh = await house.desk.read(proposals.gate_state, now=NOON + proposals.HEARTBEAT_MS)
    stale = await house.desk.read(proposals.gate_state, now=NOON + proposals.HEARTBEAT_MS + 1)

    assert (fresh.running, stale.running) == (True, False)


async def test_details_of_the_own_thread_are_not_flagged(house: House) -> None:
    ticket = await house.ticket(body="My order A-1042, phone +44 20 7946 0958")
    await house.desk.write(reply_row, ticket, "Also A-2000")

    message_id = await house.reply(ticket, body="About A-1042 and A-2000: we call +44 (20) 7946-0958.")

    codes = [flag.code for flag in (await house.gate.view(message_id)).message.flags]
    assert codes == ["new_recipient"]


async def test_sent_text_is_told_to_the_desk(house: House) -> None:
    await house.approve(message_id := await house.reply(body="Grüße, it works."))
    await house.tick(NOON + 1)

    assert (await house.told(message_id)).sent_body == "Grüße, it works.\n"


async def test_reply_threads_after_the_ones_sent_before(house: House) -> None:
    ticket = await house.ticket()
    await house.approve(first := await house.reply(ticket))
    await house.tick(NOON + 1)

    view = await house.gate.view(await house.reply(ticket, body="more"))

    assert dict(view.headers)["In-Reply-To"] == f"<{(await house.gate.view(first)).message.event_id}>"


@pytest.mark.parametrize(
    "text",
    [
        "typo = 1\n",
        "[channels.x]\nkind = 'fax'\n",
        "[channels.x]\nkind = 'webhook'\nurl = 'https://a@b/'\nsecret_env = 'OPSPILOT_GATE_X'\n",
        "[channels.x]\nkind = 'webhook'\nurl = 'https://b/'\n",
        "[channels.x]\nkind = 'webhook'\nurl = 'https://b/'\nsecret_env = 'PATH'\n",
        "[channels.x]\nkind = 'slack'\n",
        "[approval]\nexpires_minutes = 0\n",
        "=",
    ],
)
def test_wrong_settings_stop_the_gate_with_the_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(text)

    with pytest.raises(BadSetting, match=r"gate\.toml"):
        gate_policy.load(path)


def test_default_settings_file_says_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(gate_policy.DEFAULT_TEXT)

    assert gate_policy.load(path) == GatePolicy()


async def test_version_of_a_ticket_is_read_not_written(house: House) -> None:
    ticket = await house.ticket()

    await house.approve(await house.reply(ticket))
    await house.tick(NOON + 1)

    version = await house.desk.read(
        lambda conn: conn.execute(select(tickets.c.version).where(tickets.c.id == ticket)).scalar_one()
    )
    assert version == 1
