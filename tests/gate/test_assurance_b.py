"""ASSURANCE group B: what an approval binds, and when it ends. The invariant is checked by the `house` fixture."""

import asyncio
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, update

from opspilot_mcp.errors import Conflict, NotAllowed, OpsPilotError
from opspilot_mcp.gate import approvers, canonical, keys, signatures, snapshots, state
from opspilot_mcp.gate.approvers import is_same_person
from opspilot_mcp.gate.schema import approvals, messages
from opspilot_mcp.gate.schema import approvers as approver_rows
from opspilot_mcp.gate.service import Gate
from opspilot_mcp.store.schema import proposals, requesters
from tests.gate.conftest import HOUR, MINUTE, NOON, House, make_house

REPO = Path(__file__).parents[2]
SMTP = (
    '[channels.replies]\nkind = "smtp"\nhost = "127.0.0.1"\nport = 1\ntls = "none"\n[channels.oncall]\nkind = "file"\n'
)


@pytest.mark.parametrize(
    "change",
    [{"status": "closed"}, {"merged_into": 2, "status": "closed"}, {"requester_id": 2}, {"requester_id": None}],
    ids=["closed", "merged", "requester changed", "requester gone"],
)
async def test_b01_ticket_changed_after_approval_is_refused(house: House, change: dict[str, object]) -> None:
    ticket, _other = await house.ticket(), await house.ticket(address="eve@example.org")
    message_id = await house.reply(ticket)
    await house.approve(message_id)

    await house.change_ticket(ticket, **change)
    await house.tick(NOON + MINUTE)

    assert house.sent() == {}
    assert await house.state(message_id) == "void"


@pytest.mark.parametrize("column", ["body", "title", "channel", "principal", "requester_id", "subject"])
async def test_b01_proposal_edited_after_approval_is_refused(house: House, column: str) -> None:
    await house.ticket(address="eve@example.org")
    message_id = await house.reply()
    await house.approve(message_id)
    value = {"channel": "oncall", "requester_id": 1, "subject": "T-1"}.get(column, "Send the money to me.")

    await house.desk.write(lambda conn: conn.execute(update(proposals).values({column: value})))
    await house.tick(NOON + MINUTE)

    assert house.sent() == {}
    assert await house.state(message_id) == "void"


async def test_b01_the_claim_itself_sees_a_ticket_closed_after_the_last_look(house: House) -> None:
    ticket = await house.ticket()
    message_id = await house.reply(ticket)
    await house.approve(message_id)
    await house.change_ticket(ticket, status="closed")

    await house.gate.turns.deliver(1, 1, lambda: NOON + MINUTE)

    assert house.sent() == {}
    assert await house.state(message_id) == "void"


async def test_b01_requesters_address_changed_after_approval_is_refused(house: House) -> None:
    message_id = await house.reply()
    await house.approve(message_id)

    await house.desk.write(lambda conn: conn.execute(update(requesters).values(address="eve@example.org")))
    await house.tick(NOON + MINUTE)

    assert house.sent() == {}
    assert await house.state(message_id) == "void"


@pytest.mark.parametrize(("later", "state"), [(4 * HOUR - 1, "sent"), (4 * HOUR, "expired"), (9 * HOUR, "expired")])
async def test_b05_approval_ends_after_four_hours(house: House, later: int, state: str) -> None:
    message_id = await house.reply()
    await house.approve(message_id)

    await house.tick(NOON + later)

    assert await house.state(message_id) == state


async def test_b05_clock_set_back_does_not_revive_an_expired_approval(house: House) -> None:
    message_id = await house.reply()
    await house.approve(message_id)
    await house.gate.kill(by="person:ana", now=NOON + 1)
    await house.tick(NOON + 5 * HOUR)
    await house.gate.release(house.session("ana", NOON + 5 * HOUR), now=NOON + 5 * HOUR)

    await house.tick(NOON + MINUTE)

    assert house.sent() == {}
    assert await house.state(message_id) == "expired"


async def test_b05_the_claim_itself_checks_the_expiry(house: House) -> None:
    message_id = await house.reply()
    await house.approve(message_id)

    await house.gate.turns.deliver(1, 1, lambda: NOON + 4 * HOUR)

    assert (house.sent(), await house.state(message_id)) == ({}, "expired")


async def test_b05_the_claim_does_not_believe_a_clock_set_back(house: House) -> None:
    message_id = await house.reply()
    await house.approve(message_id)
    await house.gate.db.write(state.see, now=NOON + 5 * HOUR)

    await house.gate.turns.deliver(1, 1, lambda: NOON + MINUTE)

    assert (house.sent(), await house.state(message_id)) == ({}, "expired")


async def test_b05_expired_message_leaves_after_a_fresh_signature(house: House) -> None:
    message_id = await house.reply()
    await house.approve(message_id)
    await house.tick(NOON + 5 * HOUR)

    await house.approve(message_id, now=NOON + 5 * HOUR)
    await house.tick(NOON + 5 * HOUR + MINUTE)

    assert await house.state(message_id) == "sent"


async def test_b07_second_approval_is_kept_as_redundant(house: House) -> None:
    await house.add_approver("bob")
    message_id = await house.page()
    await house.approve(message_id)

    second = await house.approve(message_id, "bob")
    await house.tick(NOON + MINUTE)

    assert second.is_redundant
    assert len(house.sent()) == 1


async def test_b07_eight_dispatchers_send_each_message_once(house: House) -> None:
    ids = [await house.page(key=f"inc-{n}", title=f"page {n}") for n in range(12)]
    for message_id in ids:
        await house.approve(message_id)
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom opspilot_mcp.gate.service import Gate\n"
        "async def go():\n"
        "    gate = await Gate.open(Path(sys.argv[1]), now=int(sys.argv[2]))\n"
        "    print(sum([await gate.tick(now=int(sys.argv[2])) for _ in range(3)]))\n"
        "asyncio.run(go())\n"
    )

    arguments = [sys.executable, "-c", code, str(house.root), str(NOON + MINUTE)]
    running = [await asyncio.create_subprocess_exec(*arguments, cwd=REPO, stdout=subprocess.PIPE) for _ in range(8)]
    sent = [int((await one.communicate())[0]) for one in running]

    assert sum(sent) == len(ids)
    assert len(house.sent()) == len(ids)


async def _race(house: House, seed: int) -> None:
    """Approve what was seen while an edit lands at a random moment."""
    rng = random.Random(seed)
    message_id = await house.page(key=f"race-{seed}", title=f"race {seed}")
    seen = (await house.gate.view(message_id)).message

    async def approve() -> None:
        await asyncio.sleep(rng.random() * 0.004)
        await house.gate.approve_as(house.session("ana"), message_id, shown_sha256=seen.sha256, now=NOON)

    async def edit() -> None:
        await asyncio.sleep(rng.random() * 0.004)
        words = {"title": f"race {seed}", "body": f"edited {seed}"}
        await house.gate.edit(house.session("bob"), message_id, shown_sha256=seen.sha256, now=NOON, **words)

    await asyncio.gather(approve(), edit(), house.tick(NOON + seed), return_exceptions=True)


async def _races(house: House, count: int) -> None:
    await house.add_approver("bob")
    await house.settings(
        '[limits]\nper_hour = 10000\n[channels.replies]\nkind = "file"\n[channels.oncall]\nkind = "file"\n'
    )
    for seed in range(count):
        await _race(house, seed)
    await house.tick(NOON + MINUTE)


async def test_b08_approve_racing_edit_never_sends_unsigned_bytes(house: House) -> None:
    await _races(house, 40)

    assert house.sent()  # the fixture checks that each one's digest was signed


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_b08_a_thousand_interleavings(house: House) -> None:
    await _races(house, 1000)

    assert house.sent()


async def test_b10_undo_inside_the_window_stops_the_message(house: House) -> None:
    await house.settings(SMTP)
    message_id = await house.reply()
    await house.approve(message_id)

    await house.tick(NOON + 29_999)
    await house.gate.hold(message_id, by="person:ana", now=NOON + 29_999)
    await house.tick(NOON + HOUR)

    assert await house.state(message_id) == "held"
    assert (await house.gate.view(message_id)).message.attempts == 0


async def test_b10_restart_inside_the_window_keeps_the_window(house: House) -> None:
    await house.settings(SMTP)
    message_id = await house.reply()
    decision = await house.approve(message_id)
    await house.reopen()

    await house.tick(NOON + 29_999)

    assert decision.not_before_ms == NOON + 30_000
    assert await house.state(message_id) == "approved"


async def test_b10_the_claim_itself_keeps_the_window(house: House) -> None:
    await house.settings(SMTP)
    message_id = await house.reply()
    await house.approve(message_id)

    await house.gate.turns.deliver(1, 1, lambda: NOON + 29_999)

    message = (await house.gate.view(message_id)).message
    assert (message.state, message.attempts) == ("approved", 0)


async def test_b11_proposer_may_not_sign_where_two_are_registered(house: House) -> None:
    await house.add_approver("bob")
    message_id = await house.page(principal="http:ana")

    with pytest.raises(NotAllowed, match="proposed"):
        await house.approve(message_id)


async def test_b11_signature_of_a_proposer_does_not_count_once_a_second_person_is_registered(house: House) -> None:
    message_id = await house.page(principal="http:ana")
    await house.approve(message_id)
    await house.add_approver("bob")

    await house.tick(NOON + MINUTE)

    assert house.sent() == {}
    assert await house.state(message_id) == "pending"


@pytest.mark.parametrize(
    "principal",
    ["ana", "ANA", "http:Ana", "agent for ana", "ana@example.org", "\uff41\uff4e\uff41", "\u0430n\u0430", "a\u200bna",
     "\u00e1na", "stdio/ana"],
)  # fmt: skip
def test_b11_look_alikes_are_the_same_person(principal: str) -> None:
    assert is_same_person("ana", principal)


@pytest.mark.parametrize("principal", ["banana", "anastasia", "agent:claude", "stdio:501", ""])
def test_b11_other_names_are_other_people(principal: str) -> None:
    assert not is_same_person("ana", principal)


async def test_b11_solo_approval_is_explicit_and_recorded(house: House) -> None:
    message_id = await house.reply()

    await house.approve(message_id)

    payload = await house.gate.db.read(lambda conn: json.loads(conn.execute(select(approvals.c.payload)).scalar_one()))
    assert payload["solo"] is True


async def test_b12_revoked_key_does_not_send(house: House) -> None:
    await house.add_approver("bob")
    message_id = await house.page()
    await house.approve(message_id, "bob")

    await house.gate.revoke_approver("bob", by="terminal:0", now=NOON + 1)
    await house.tick(NOON + MINUTE)

    assert house.sent() == {}
    assert await house.state(message_id) == "pending"


async def test_b12_revocation_survives_its_row_being_put_back(house: House) -> None:
    await house.add_approver("bob")
    message_id = await house.page()
    await house.approve(message_id, "bob")
    await house.gate.revoke_approver("bob", by="terminal:0", now=NOON + 1)

    await house.gate.db.write(lambda conn: conn.exec_driver_sql("UPDATE approvers SET revoked_ms = NULL"))
    await house.tick(NOON + MINUTE)

    assert house.sent() == {}


async def test_b13_one_person_counts_once(house: House) -> None:
    await house.add_approver("bob")
    message_id = await house.reply()
    first = await house.approve(message_id)

    with pytest.raises(NotAllowed, match="counts once"):
        await house.approve(message_id)

    assert (first.state, len(first.signed_by), first.needed) == ("pending", 1, 2)


async def test_b13_two_keys_of_one_name_count_once(house: House) -> None:
    await house.add_approver("bob")
    message_id = await house.reply()
    await house.approve(message_id)
    pair = keys.new_pair()
    await _insert_key(house, "ana", pair)  # a second key of hers, vouched for by her first
    await _sign_raw(house, message_id, pair, "ana")

    await house.gate.db.write(lambda conn: conn.execute(update(messages).values(state="approved")))
    await house.tick(NOON + MINUTE)

    assert house.sent() == {}


async def test_b13_two_people_send_a_high_risk_message(house: House) -> None:
    await house.add_approver("bob")
    message_id = await house.reply()
    await house.approve(message_id)

    second = await house.approve(message_id, "bob")
    await house.tick(NOON + MINUTE)

    assert second.state == "approved"
    assert await house.state(message_id) == "sent"


async def test_b13_solo_signature_does_not_count_once_a_second_person_is_registered(house: House) -> None:
    message_id = await house.reply()
    await house.approve(message_id)
    await house.add_approver("bob")

    await house.tick(NOON + MINUTE)

    assert house.sent() == {}


async def _insert_key(house: House, name: str, pair: keys.KeyPair, *, vouched: bool = True) -> None:
    root = house.gate.authority.root
    signer = house.keys["ana"].pair if vouched else pair
    payload = approvers._registration(root.instance, name, pair.public, signer.key_id, NOON)
    await house.gate.db.write(
        lambda conn: conn.execute(
            insert(approver_rows).values(
                key_id=pair.key_id,
                name=name,
                public_key=keys.b64(pair.public),
                registered_ms=NOON,
                registered_by=signer.key_id,
                registration=signer.sign(approvers.PURPOSE, payload),
                bad_tries=0,
                locked_until_ms=0,
            )
        )
    )


async def _sign_raw(house: House, message_id: str, pair: keys.KeyPair, name: str) -> None:
    """Store a signature straight into the database, past every decision, and call the message approved."""
    message = (await house.gate.view(message_id)).message
    session = approvers.Session(name, pair, opened_ms=NOON, used_ms=NOON)

    def put(conn: object) -> None:
        signatures.sign(conn, house.gate.authority, session, message, solo=True, state="valid", now=NOON)  # type: ignore[arg-type]
        conn.execute(update(messages).values(state="approved"))  # type: ignore[attr-defined]

    await house.gate.db.write(put)


async def test_b17_key_row_the_attacker_inserted_is_no_approver(house: House) -> None:
    message_id = await house.reply()
    pair = keys.new_pair()
    await _insert_key(house, "mallory", pair, vouched=False)

    await _sign_raw(house, message_id, pair, "mallory")
    await house.tick(NOON + MINUTE)

    assert house.sent() == {}
    assert await house.state(message_id) == "pending"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("signature", ""),
        ("signature", "bm90IGEgc2lnbmF0dXJl"),
        ("signature", "%%%"),
        ("payload", '{"approved":true}'),
        ("payload", "true"),
        ("key_id", "0" * 32),
        ("nonce", "n"),
    ],
)
async def test_b17_forged_approval_is_refused(house: House, column: str, value: str) -> None:
    message_id = await house.reply()
    await house.approve(message_id)
    row = await house.gate.db.read(lambda conn: dict(conn.execute(select(approvals)).mappings().one()))
    del row["id"]

    def forge(conn: object) -> None:
        conn.exec_driver_sql("DROP TRIGGER approvals_kept")  # type: ignore[attr-defined]
        conn.exec_driver_sql("DELETE FROM approvals")  # type: ignore[attr-defined]
        if column != "nonce":
            conn.execute(insert(approvals).values({**row, column: value}))  # type: ignore[attr-defined]

    await house.gate.db.write(forge)
    await house.tick(NOON + MINUTE)

    assert house.sent() == {}


async def test_b17_payload_of_another_message_is_refused(house: House) -> None:
    first, second = await house.page(), await house.page(key="inc-2", title="other")
    await house.approve(first)
    row = await house.gate.db.read(lambda conn: dict(conn.execute(select(approvals)).mappings().one()))

    await house.gate.db.write(
        lambda conn: conn.execute(insert(approvals).values({**row, "id": 9, "message_id": 2, "nonce": "other"}))
    )
    await house.gate.db.write(lambda conn: conn.execute(update(messages).values(state="approved")))
    await house.tick(NOON + MINUTE)

    assert list(house.sent()) == [f"{first}.v1.json"]
    assert await house.state(second) == "pending"


async def test_b17_payload_of_a_message_that_never_left_is_refused_for_another(house: House) -> None:
    first, second = await house.page(), await house.page(key="inc-2", title="other")
    await house.approve(first)
    row = await house.gate.db.read(lambda conn: dict(conn.execute(select(approvals)).mappings().one()))
    await house.gate.hold(first, by="person:ana", now=NOON)

    await house.gate.db.write(
        lambda conn: conn.execute(insert(approvals).values({**row, "id": 9, "message_id": 2, "nonce": "other"}))
    )
    await house.gate.db.write(lambda conn: conn.execute(update(messages).values(state="approved")))
    await house.tick(NOON + MINUTE)

    assert house.sent() == {}
    assert await house.state(second) == "pending"


async def test_b17_nonce_is_spent_once(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)
    await house.tick(NOON + MINUTE)
    house.gate.home.sent.joinpath(f"{message_id}.v1.json").unlink()

    await house.gate.db.write(lambda conn: conn.execute(update(messages).values(state="approved")))
    await house.gate.db.write(lambda conn: conn.execute(update(approvals).values(state="valid")))
    await house.tick(NOON + 2 * MINUTE)

    assert house.sent() == {}


async def test_b18_approval_of_another_instance_is_refused(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)
    pinned = house.gate.authority.root

    other = approvers.Root("another-instance", pinned.key_id, pinned.public_key, pinned.checkpoint_key)
    house.gate.authority = signatures.Authority(house.gate.home, other, house.gate.authority.policy)
    await house.tick(NOON + MINUTE)

    assert house.sent() == {}


async def test_b18_signature_made_for_another_gate_does_not_count_under_the_same_key(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)
    pinned, here = house.gate.authority.root, house.gate.authority
    other = approvers.Root("another-instance", pinned.key_id, pinned.public_key, pinned.checkpoint_key)
    elsewhere = signatures.Authority(here.home, other, here.policy)

    def standing(conn: Connection) -> signatures.Standing:
        message, trusted = snapshots.get(conn, message_id), approvers.load(conn, here.home, pinned)
        content = snapshots.content(conn, message.number)
        return signatures.standing(conn, elsewhere, message, content, trusted, now=NOON)

    found = await house.gate.db.read(standing)

    assert (found.signers, found.faults) == ((), ("signed for another instance",))


async def test_b18_database_of_another_gate_is_refused_at_start(house: House, tmp_path: Path) -> None:
    other = await make_house(tmp_path / "other")
    await other.gate.close()
    await other.desk.close()
    other.gate.home.gate_db.write_bytes(house.gate.home.gate_db.read_bytes())

    with pytest.raises(OpsPilotError, match="another gate"):
        await Gate.open(other.root, now=NOON)


async def test_approval_of_bytes_that_were_not_shown_is_refused(house: House) -> None:
    message_id = await house.page()

    with pytest.raises(Conflict, match="not what you were shown"):
        await house.gate.approve_as(house.session("ana"), message_id, shown_sha256="0" * 64, now=NOON)


async def test_changed_bytes_are_not_sent_even_when_the_digest_column_is_changed_too(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)
    content = b'{"id": "x", "kind": "page", "about": "INC-1", "title": "t", "text": "pay me"}'

    def tamper(conn: object) -> None:
        conn.exec_driver_sql("DROP TRIGGER messages_frozen")  # type: ignore[attr-defined]
        digest = canonical.sha256(content)
        conn.execute(update(messages).values(content=content, sha256=digest))  # type: ignore[attr-defined]

    await house.gate.db.write(tamper)
    await house.tick(NOON + MINUTE)

    assert house.sent() == {}


async def test_snapshot_refuses_to_change(house: House) -> None:
    await house.page()

    with pytest.raises(OpsPilotError):
        await house.gate.db.write(lambda conn: conn.execute(update(messages).values(content=b"other")))


async def test_b05_a_sender_that_slept_past_the_expiry_sends_nothing(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)
    times = iter([NOON + 4 * HOUR - 1])  # claimed in the last millisecond, then asleep

    await house.gate.turns.deliver(1, 1, lambda: next(times, NOON + 4 * HOUR))
    slept = await house.state(message_id)
    await house.tick(NOON + 4 * HOUR + MINUTE)

    assert (house.sent(), slept, await house.state(message_id)) == ({}, "retry", "expired")
