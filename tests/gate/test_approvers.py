"""Who may sign: keys, registration back to the root, lock-out, revocation, sessions."""

import json

import pytest
from sqlalchemy import Connection, insert, update

from opspilot_mcp.clock import DAY_MS
from opspilot_mcp.errors import BadSetting, Conflict, InvalidInput, NotAllowed, OpsPilotError
from opspilot_mcp.gate import approvers, audit, keys, service
from opspilot_mcp.gate.approvers import IDLE_MS, LOCK_MS, SESSION_MS, Session
from opspilot_mcp.gate.schema import approvers as approver_rows
from tests.gate.conftest import HOUR, MINUTE, NOON, PASSPHRASE, House


def put_row(conn: Connection, row: dict[str, object]) -> None:
    conn.execute(insert(approver_rows).values(**row))


_PAIR = keys.new_pair()
_SEALED = keys.seal(_PAIR, PASSPHRASE, name="ana")


def test_key_opens_with_its_passphrase_only() -> None:
    assert keys.raw(keys.unseal(_SEALED, PASSPHRASE, name="ana")) == keys.raw(_PAIR)
    with pytest.raises(keys.WrongPassphrase):
        keys.unseal(_SEALED, PASSPHRASE + " ", name="ana")


def test_key_file_never_holds_the_private_key_and_uses_a_strong_scrypt() -> None:
    stored = json.dumps(_SEALED)

    assert keys.b64(keys.raw(_PAIR)) not in stored
    assert keys.raw(_PAIR).hex() not in stored
    assert int(str(_SEALED["scrypt_n"])) >= 2**16


@pytest.mark.parametrize(
    ("field", "value"),
    [("scrypt_n", 2**15), ("scrypt_n", 2**30), ("scrypt_n", 65_537), ("salt", "?"), ("sealed", ""), ("key_id", "0")],
)
def test_changed_key_file_is_refused(field: str, value: object) -> None:
    with pytest.raises((BadSetting, NotAllowed)):
        keys.unseal({**_SEALED, field: value}, PASSPHRASE, name="ana")


def test_key_file_of_one_person_does_not_open_for_another() -> None:
    with pytest.raises(keys.WrongPassphrase):
        keys.unseal(_SEALED, PASSPHRASE, name="bob")


@pytest.mark.parametrize("passphrase", ["", "short", "aaaaaaaaaaaaaaaa", "x" * 2000])
def test_weak_passphrase_is_refused(passphrase: str) -> None:
    with pytest.raises(InvalidInput):
        keys.check_strength(passphrase)


def test_key_in_memory_shows_nothing_of_itself() -> None:
    session = Session("ana", _PAIR, opened_ms=NOON, used_ms=NOON)

    assert keys.raw(_PAIR).hex() not in f"{_PAIR!r} {session!r}"
    assert "private" not in f"{_PAIR!r} {session!r}".lower()


@pytest.mark.parametrize("name", ["Ana", "a", "ana ", "\u0430na", "../ana", "ana/..", "", "x" * 41, "1ana"])
def test_name_that_could_mislead_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        approvers.check_name(name)


async def test_d10_five_wrong_passphrases_lock_the_name_for_a_quarter_of_an_hour(house: House) -> None:
    for _ in range(5):
        with pytest.raises(NotAllowed):
            await house.gate.sign_in("ana", "wrong horse battery", now=NOON)

    with pytest.raises(NotAllowed, match="Too many"):
        await house.gate.sign_in("ana", PASSPHRASE, now=NOON + LOCK_MS - 1)

    assert (await house.gate.sign_in("ana", PASSPHRASE, now=NOON + LOCK_MS)).name == "ana"


async def test_d10_lock_grows_and_survives_a_clock_set_back(house: House) -> None:
    for _ in range(5):
        with pytest.raises(NotAllowed):
            await house.gate.sign_in("ana", "wrong horse battery", now=NOON)
    with pytest.raises(NotAllowed):
        await house.gate.sign_in("ana", "wrong horse battery", now=NOON + LOCK_MS)

    with pytest.raises(NotAllowed, match="Too many"):
        await house.gate.sign_in("ana", PASSPHRASE, now=NOON + 2 * LOCK_MS)
    with pytest.raises(NotAllowed, match="Too many"):
        await house.gate.sign_in("ana", PASSPHRASE, now=NOON - DAY_MS)


async def test_d10_bad_sign_ins_are_on_record(house: House) -> None:
    with pytest.raises(NotAllowed):
        await house.gate.sign_in("ana", "wrong horse battery", now=NOON)

    rows = await house.gate.db.read(audit.newest, limit=1)

    assert rows[0]["action"] == "sign_in.failed"


async def test_good_sign_in_clears_the_count(house: House) -> None:
    for _ in range(4):
        with pytest.raises(NotAllowed):
            await house.gate.sign_in("ana", "wrong horse battery", now=NOON)
    await house.gate.sign_in("ana", PASSPHRASE, now=NOON)

    with pytest.raises(NotAllowed, match="passphrase does not open"):
        await house.gate.sign_in("ana", "wrong horse battery", now=NOON)


async def test_unknown_name_and_wrong_passphrase_say_no_more_than_no(house: House) -> None:
    with pytest.raises(NotAllowed, match="name or the passphrase"):
        await house.gate.sign_in("nobody", PASSPHRASE, now=NOON)


@pytest.mark.parametrize(("idle", "is_live"), [(IDLE_MS - 1, True), (IDLE_MS, False)])
def test_session_ends_after_a_quarter_of_an_hour_idle(idle: int, is_live: bool) -> None:
    session = Session("ana", _PAIR, opened_ms=NOON, used_ms=NOON)

    assert session.is_live(NOON + idle) is is_live


def test_session_ends_after_eight_hours_whatever_happens() -> None:
    session = Session("ana", _PAIR, opened_ms=NOON, used_ms=NOON)
    for at in range(NOON, NOON + SESSION_MS, 10 * MINUTE):
        session.touch(at)

    with pytest.raises(NotAllowed):
        session.touch(NOON + SESSION_MS)


async def test_signing_in_an_old_session_is_refused(house: House) -> None:
    message_id = await house.page()
    view = await house.gate.view(message_id)

    with pytest.raises(NotAllowed, match="Sign in again"):
        await house.gate.approve_as(
            house.session("ana", NOON), message_id, shown_sha256=view.message.sha256, now=NOON + HOUR
        )


async def test_signing_with_a_revoked_key_is_refused(house: House) -> None:
    await house.add_approver("bob")
    message_id = await house.page()
    await house.gate.revoke_approver("bob", by="terminal:0", now=NOON)

    with pytest.raises(NotAllowed, match="revoked"):
        await house.approve(message_id, "bob")


async def test_last_approver_cannot_be_revoked(house: House) -> None:
    with pytest.raises(NotAllowed, match="last approver"):
        await house.gate.revoke_approver("ana", by="terminal:0", now=NOON)


async def test_added_approver_signs_in_and_can_be_replaced(house: House) -> None:
    await house.gate.add_approver(house.session("ana"), "bob", "another long passphrase", now=NOON)
    with pytest.raises(Conflict):
        await house.gate.add_approver(house.session("ana"), "bob", "another long passphrase", now=NOON)
    await house.gate.revoke_approver("bob", by="terminal:0", now=NOON)
    await house.gate.add_approver(house.session("ana"), "bob", "a new long passphrase", now=NOON)

    session = await house.gate.sign_in("bob", "a new long passphrase", now=NOON)

    known = {one.key_id: one.is_active for one in await house.gate.approvers() if one.name == "bob"}
    assert known[session.pair.key_id]
    assert sorted(known.values()) == [False, True]


async def test_revoked_approver_cannot_vouch(house: House) -> None:
    await house.add_approver("bob")
    await house.gate.revoke_approver("bob", by="terminal:0", now=NOON)

    with pytest.raises(NotAllowed):
        await house.gate.add_approver(house.session("bob"), "eve", "another long passphrase", now=NOON)


async def test_row_vouched_for_by_a_stranger_is_no_approver(house: House) -> None:
    stranger, planted = keys.new_pair(), keys.new_pair()
    root = house.gate.authority.root
    for pair, name, signer in ((stranger, "mallory", stranger), (planted, "mallet", stranger)):
        payload = approvers._registration(root.instance, name, pair.public, signer.key_id, NOON)
        row = {
            "key_id": pair.key_id,
            "name": name,
            "public_key": keys.b64(pair.public),
            "registered_ms": NOON,
            "registered_by": signer.key_id,
            "registration": signer.sign(approvers.PURPOSE, payload),
            "bad_tries": 0,
            "locked_until_ms": 0,
        }
        await house.gate.db.write(put_row, row)

    assert [one.name for one in await house.gate.approvers()] == ["ana"]


async def test_renamed_row_is_no_approver(house: House) -> None:
    await house.add_approver("bob")

    await house.gate.db.write(
        lambda conn: conn.execute(update(approver_rows).where(approver_rows.c.name == "bob").values(name="eve"))
    )

    assert [one.name for one in await house.gate.approvers()] == ["ana"]


async def test_changed_root_file_stops_the_gate(house: House) -> None:
    pinned = json.loads(house.gate.home.root_pin.read_bytes())
    pinned["payload"]["public_key"] = keys.b64(keys.new_pair().public)
    house.gate.home.root_pin.write_text(json.dumps(pinned))

    with pytest.raises(BadSetting, match="was changed"):
        approvers.load_root(house.gate.home)


async def test_second_init_is_refused(house: House) -> None:
    with pytest.raises(OpsPilotError, match="set up already"):
        await service.init(house.root, "eve", "another long passphrase", now=NOON)
