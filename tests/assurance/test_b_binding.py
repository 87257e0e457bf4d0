"""ASSURANCE group B: what an approval binds, and when it ends."""

import asyncio
import json
import random
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from opspilot_mcp.errors import NotAllowed, OpsPilotError
from opspilot_mcp.gate import approvers, canonical, keys, signatures, snapshots
from opspilot_mcp.gate.approvers import is_same_person
from opspilot_mcp.gate.schema import approvals, messages
from opspilot_mcp.gate.schema import approvers as approver_rows
from opspilot_mcp.gate.service import Gate
from tests.assurance.forks import Dispatchers
from tests.assurance.sinks import Sinks
from tests.gate.conftest import HOUR, MINUTE, NOON, House, make_house


async def deliver(house: House, *, number: int = 1, now: int = NOON + MINUTE) -> None:
    """Claim and send past the turn's own checks, as a dispatcher does that looked a moment ago."""
    await house.gate.turns.deliver(number, number, lambda: now)


async def rewrite(house: House, **values: Any) -> None:
    """Change every message's row as somebody does who can write the gate's file."""

    def work(conn: Connection) -> None:
        conn.exec_driver_sql("DROP TRIGGER IF EXISTS messages_frozen")
        conn.execute(update(messages).values(values))

    await house.gate.db.write(work)


async def signature(house: House) -> dict[str, Any]:
    return await house.gate.db.read(lambda conn: dict(conn.execute(select(approvals)).mappings().first() or {}))


async def put_signature(house: House, row: dict[str, Any], **over: Any) -> None:
    """Store a signature and call every message approved, as somebody does who can write the gate's file."""
    row = {name: value for name, value in {**row, **over}.items() if name != "id"}
    await house.gate.db.write(lambda conn: conn.execute(insert(approvals).values(row)))
    await house.gate.db.write(lambda conn: conn.execute(update(messages).values(state="approved")))


# -- B01 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change", [{"status": "closed"}, {"merged_into": 2}, {"requester_id": 2}], ids=["closed", "merged", "requester"]
)
async def test_b01_ticket_changed_after_the_approval(house: House, change: dict[str, object]) -> None:
    ticket, _ = await house.ticket(), await house.ticket(address="eve@example.org")
    message_id = await house.reply(ticket)
    await house.approve(message_id)

    await house.change_ticket(ticket, **change)
    await deliver(house)

    assert (house.sent(), await house.state(message_id)) == ({}, "void")


async def test_b01_edit_after_the_approval_voids_it(house: House) -> None:
    await house.add_approver("bob")
    message_id = await house.page()
    seen = (await house.gate.view(message_id)).message.sha256
    edited = {"title": "db-1", "body": "other words", "shown_sha256": seen}
    await house.approve(message_id)

    with pytest.raises(OpsPilotError):
        await house.gate.edit(house.session("bob"), message_id, **edited, now=NOON)
    await house.gate.hold(message_id, by="person:bob", now=NOON)
    await house.gate.lift(house.session("bob"), message_id, now=NOON)
    await house.gate.edit(house.session("bob"), message_id, **edited, now=NOON)
    await house.tick(NOON + MINUTE)

    assert (house.sent(), await house.state(message_id)) == ({}, "pending")


async def test_b01_signature_is_for_these_bytes_and_no_others(house: House) -> None:
    await house.page()
    await house.approve("PR-1")
    content = b'{"id":"x","kind":"page","about":"INC-1","title":"t","text":"pay me"}'

    await rewrite(house, content=content, sha256=canonical.sha256(content))
    await deliver(house)

    assert house.sent() == {}


async def test_b01_signature_is_for_this_version_and_no_other(house: House) -> None:
    await house.page()
    await house.approve("PR-1")

    await rewrite(house, version=2)
    await deliver(house)

    assert house.sent() == {}


async def test_b01_signature_is_for_this_recipient_and_no_other(house: House) -> None:
    await house.page()
    await house.approve("PR-1")

    await rewrite(house, recipient="eve@example.org")
    await deliver(house)

    assert house.sent() == {}


# -- B05 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("later", "left", "state"), [(4 * HOUR - 1, 1, "sent"), (4 * HOUR, 0, "expired")])
async def test_b05_approval_ends_to_the_millisecond(house: House, later: int, left: int, state: str) -> None:
    message_id = await house.page()
    await house.approve(message_id)

    await deliver(house, now=NOON + later)

    assert (len(house.sent()), await house.state(message_id)) == (left, state)


async def test_b05_approval_ends_between_a_claim_and_its_retry(house: House, sinks: Sinks) -> None:
    await house.settings(sinks.settings)
    message_id = await house.reply()
    await house.approve(message_id)
    sinks.mail.answer = "451 later"
    await house.tick(NOON + MINUTE)
    await house.reopen()

    sinks.mail.answer = "250 taken"
    await house.tick(NOON + 4 * HOUR)

    assert (await house.state(message_id), sinks.arrived) == ("expired", [])


async def test_b05_clock_set_back_revives_nothing(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)
    await house.gate.sync(now=NOON)
    await house.gate.sign_in("ana", "correct horse battery staple", now=NOON + 5 * HOUR)

    await deliver(house, now=NOON + MINUTE)

    assert (house.sent(), await house.state(message_id)) == ({}, "expired")


# -- B07, B08 ----------------------------------------------------------------------------------------------------------


async def test_b07_two_approvals_and_eight_dispatchers_send_once(house: House, forks: Dispatchers) -> None:
    await house.add_approver("bob")
    ids = [await house.page(key=f"inc-{n}", title=f"page {n}") for n in range(6)]
    for message_id in ids:
        await asyncio.gather(house.approve(message_id), house.approve(message_id, "bob"))

    codes = forks.together([(house.root, NOON + MINUTE, "")] * 8)

    states = await house.gate.db.read(lambda conn: conn.execute(select(approvals.c.state)).scalars().all())
    assert codes == [0] * 8
    assert len(house.sent()) == len(ids)
    assert sorted(states) == ["redundant"] * 6 + ["spent"] * 6


async def race(house: House, other: Gate, seed: int) -> None:
    """Approve what was seen while, through another gate, an edit lands at a random moment."""
    rng, message_id = random.Random(seed), await house.page(key=f"race-{seed}", title=f"race {seed}")
    seen = (await house.gate.view(message_id)).message.sha256

    async def approve() -> None:
        await asyncio.sleep(rng.random() * 0.003)
        await house.gate.approve_as(house.session("ana"), message_id, shown_sha256=seen, now=NOON)

    async def edit() -> None:
        await asyncio.sleep(rng.random() * 0.003)
        words = {"title": f"race {seed}", "body": f"edited {seed}"}
        await other.edit(house.session("bob"), message_id, shown_sha256=seen, now=NOON, **words)

    await asyncio.gather(approve(), edit(), other.tick(now=NOON + seed), return_exceptions=True)


async def races(house: House, count: int) -> None:
    await house.add_approver("bob")
    await house.settings('[limits]\nper_hour = 10000\n[channels.oncall]\nkind = "file"\n')
    other = await Gate.open(house.root, now=NOON)
    await other.sync(now=NOON)
    for seed in range(count):
        await race(house, other, seed)
    await other.close()
    await house.tick(NOON + MINUTE)


async def test_b08_approving_while_editing_sends_signed_bytes_only(house: House) -> None:
    await races(house, 25)

    assert house.sent()  # the house's end checks that each was signed


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_b08_a_thousand_interleavings(house: House) -> None:
    await races(house, 1000)

    assert house.sent()


# -- B10 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restarted", [False, True])
async def test_b10_cancel_inside_the_undo_window(house: House, sinks: Sinks, restarted: bool) -> None:
    await house.settings(sinks.settings)
    message_id = await house.reply()
    await house.approve(message_id)
    await (house.reopen() if restarted else house.tick(NOON + 1))

    await deliver(house, now=NOON + 29_999)
    await house.gate.hold(message_id, by="person:ana", now=NOON + 29_999)
    await house.tick(NOON + HOUR)

    assert (await house.state(message_id), sinks.arrived) == ("held", [])


async def test_b10_kill_switch_stops_what_is_due(house: House) -> None:
    await house.approve(await house.page())

    await house.gate.kill(by="person:ana", now=NOON + 1)
    await deliver(house)

    assert house.sent() == {}


# -- B11, B12, B13 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "principal", ["http:ana", "ANA", "\uff41\uff4e\uff41", "\u0430na", "a\u200bna", "agent for ana"]
)
async def test_b11_who_proposed_does_not_sign(house: House, principal: str) -> None:
    await house.add_approver("bob")
    message_id = await house.page(principal=principal)

    with pytest.raises(NotAllowed, match="proposed"):
        await house.approve(message_id)

    assert not is_same_person("ana", "agent:banana")


async def test_b11_signature_from_before_the_second_person_does_not_count(house: House) -> None:
    await house.approve(await house.page(principal="http:ana"))
    await house.add_approver("bob")

    await deliver(house)

    assert house.sent() == {}


async def test_b11_solo_is_explicit_and_written_down(house: House) -> None:
    await house.approve(await house.reply())

    rows = await house.gate.db.read(
        lambda conn: conn.exec_driver_sql("SELECT detail FROM audit WHERE action = 'message.signed'").scalars().all()
    )

    assert json.loads((await signature(house))["payload"])["solo"] is True
    assert json.loads(rows[0])["solo"] is True


@pytest.mark.parametrize("put_back", [False, True])
async def test_b12_revoked_key_does_not_send(house: House, put_back: bool) -> None:
    await house.add_approver("bob")
    await house.approve(await house.page(), "bob")

    await house.gate.revoke_approver("bob", by="terminal:0", now=NOON + 1)
    if put_back:
        await house.gate.db.write(lambda conn: conn.exec_driver_sql("UPDATE approvers SET revoked_ms = NULL"))
    await deliver(house)

    assert house.sent() == {}


async def test_b13_two_sessions_of_one_person_count_once(house: House) -> None:
    await house.add_approver("bob")
    message_id = await house.reply()
    await house.approve(message_id)

    with pytest.raises(NotAllowed, match="counts once"):
        await house.approve(message_id, now=NOON + 1)
    await house.tick(NOON + MINUTE)

    assert house.sent() == {}


async def test_b13_two_keys_of_one_person_count_once(house: House) -> None:
    await house.add_approver("bob")
    message_id = await house.reply()
    await house.approve(message_id)
    second = keys.new_pair()
    await register(house, "ana", second, vouched_by=house.keys["ana"].pair)

    await sign_past_the_decisions(house, message_id, second, "ana")
    await deliver(house)

    assert house.sent() == {}


async def test_b13_two_people_do_send(house: House) -> None:
    await house.add_approver("bob")
    message_id = await house.reply()
    await house.approve(message_id)
    await house.approve(message_id, "bob")

    await deliver(house)

    assert len(house.sent()) == 1


# -- B17, B18 ----------------------------------------------------------------------------------------------------------


async def register(house: House, name: str, pair: keys.KeyPair, *, vouched_by: keys.KeyPair) -> None:
    """Write a key's row straight into the gate's file."""
    payload = approvers._registration(house.gate.authority.root.instance, name, pair.public, vouched_by.key_id, NOON)
    row = {
        "key_id": pair.key_id,
        "name": name,
        "public_key": keys.b64(pair.public),
        "registered_ms": NOON,
        "registered_by": vouched_by.key_id,
        "registration": vouched_by.sign(approvers.PURPOSE, payload),
        "bad_tries": 0,
        "locked_until_ms": 0,
    }
    await house.gate.db.write(lambda conn: conn.execute(insert(approver_rows).values(row)))


async def sign_past_the_decisions(house: House, message_id: str, pair: keys.KeyPair, name: str) -> None:
    """Store a signature and call the message approved, past every decision."""
    message = (await house.gate.view(message_id)).message
    session = approvers.Session(name, pair, opened_ms=NOON, used_ms=NOON)

    def work(conn: Connection) -> None:
        signatures.sign(conn, house.gate.authority, session, message, solo=True, state="valid", now=NOON)
        conn.execute(update(messages).values(state="approved"))

    await house.gate.db.write(work)


async def test_b17_key_the_attacker_wrote_into_the_file_is_no_approver(house: House) -> None:
    message_id, pair = await house.reply(), keys.new_pair()
    await register(house, "mallory", pair, vouched_by=pair)

    await sign_past_the_decisions(house, message_id, pair, "mallory")
    await deliver(house)

    assert house.sent() == {}


async def test_b17_wrong_key_under_a_registered_name_does_not_count(house: House) -> None:
    message_id, other = await house.page(), keys.new_pair()

    forged = keys.KeyPair(other.private, house.keys["ana"].pair.public)
    await sign_past_the_decisions(house, message_id, forged, "ana")
    await deliver(house)

    assert house.sent() == {}


@pytest.mark.parametrize(
    ("column", "value"),
    [("signature", ""), ("signature", "bm90IGEgc2lnbmF0dXJl"), ("signature", "%%%"), ("payload", '{"approved":true}')],
)
async def test_b17_forged_row_does_not_count(house: House, column: str, value: str) -> None:
    await house.approve(await house.page())
    row = await signature(house)
    await house.gate.db.write(lambda conn: conn.exec_driver_sql("DROP TRIGGER IF EXISTS approvals_kept"))
    await house.gate.db.write(lambda conn: conn.exec_driver_sql("DELETE FROM approvals"))

    await put_signature(house, row, **{column: value})
    await deliver(house)

    assert house.sent() == {}


async def test_b17_approved_state_without_any_signature_sends_nothing(house: House) -> None:
    message_id = await house.page()

    await rewrite(house, state="approved")
    await house.tick(NOON + MINUTE)

    assert (house.sent(), await house.state(message_id)) == ({}, "pending")


async def test_b17_spent_nonce_does_not_count_again(house: House) -> None:
    await house.approve(await house.page())
    await house.tick(NOON + MINUTE)
    sent = house.gate.home.sent / "PR-1.v1.json"
    sent.unlink()

    await rewrite(house, state="approved")
    await house.gate.db.write(lambda conn: conn.execute(update(approvals).values(state="valid")))
    await deliver(house, now=NOON + 2 * MINUTE)

    assert not sent.exists()


async def test_b18_approval_of_another_instance_does_not_count(house: House) -> None:
    await house.approve(await house.page())
    pinned = house.gate.authority.root

    prod = approvers.Root("prod", pinned.key_id, pinned.public_key, pinned.checkpoint_key)
    trusted = await house.gate.approvers()
    house.gate.authority = signatures.Authority(house.gate.home, prod, house.gate.authority.policy)
    found = await house.gate.db.read(_standing, house, {one.key_id: one for one in trusted})

    assert found.signers == ()
    assert "instance" in found.faults[0]


def _standing(conn: Connection, house: House, trusted: dict[str, approvers.Approver]) -> signatures.Standing:
    message = snapshots.by_number(conn, 1)
    content = snapshots.content(conn, 1)
    return signatures.standing(conn, house.gate.authority, message, content, trusted, now=NOON + 1)


async def test_b18_database_of_another_gate_is_refused(house: House, tmp_path: Any) -> None:
    await house.approve(await house.page())
    other = await make_house(tmp_path / "prod")
    await other.gate.close()
    await other.desk.close()

    other.gate.home.gate_db.write_bytes(house.gate.home.gate_db.read_bytes())

    with pytest.raises(OpsPilotError, match="another gate"):
        await Gate.open(other.root, now=NOON)
