"""The safe direction is free for agents, and loses nothing without a person: who asked is seen, and can be undone."""

from typing import Literal

import pytest

from opspilot_mcp import proposals
from opspilot_mcp.gate import screen
from tests.gate.conftest import MINUTE, NOON, House
from tests.gate.test_terminal import gate


async def ask(house: House, message_id: str, who: str, *, wish: Literal["hold", "withdraw"] = "withdraw") -> str:
    """Ask as an agent, let the gate follow; returns the state and the reason a person reads."""
    await house.desk.write(proposals.ask, message_id, wish, principal=who, now=NOON)
    await house.gate.sync(now=NOON + 1)
    message = (await house.gate.view(message_id)).message
    return f"{message.state}: {message.detail}"


async def test_a11_who_proposed_takes_back_what_nobody_signed(house: House) -> None:
    message_id = await house.reply(principal="agent:claude")

    assert await ask(house, message_id, "agent:claude") == "withdrawn: withdrawn by agent:claude"


@pytest.mark.parametrize("is_synced", [True, False])
async def test_a11_another_agents_withdrawal_holds_and_names_both(house: House, is_synced: bool) -> None:
    message_id = await house.reply(principal="agent:claude", sync=is_synced)

    said = await ask(house, message_id, "agent:mallory")

    assert said == "held: agent:mallory asked to withdraw what agent:claude proposed; a person lifts or rejects it"
    assert (await house.told(message_id)).state == "held"


async def test_a12_another_agents_withdrawal_is_told_as_a_hold_before_the_gate_has_looked(house: House) -> None:
    message_id = await house.reply(principal="agent:claude", sync=False)

    told = await house.desk.write(proposals.ask, message_id, "withdraw", principal="agent:mallory", now=NOON)
    waiting = await house.desk.read(proposals.recent, waiting=True)

    assert (told.state, [one.id for one in waiting]) == ("held", [message_id])


@pytest.mark.parametrize("follows", [True, False])
async def test_a11_a_withdrawal_after_a_signature_holds_and_sends_nothing(house: House, follows: bool) -> None:
    message_id = await house.reply(principal="agent:claude")
    await house.approve(message_id)

    await house.desk.write(proposals.ask, message_id, "withdraw", principal="agent:claude", now=NOON)
    if follows:
        await house.gate.sync(now=NOON + 1)
    await house.gate.turns.deliver(1, 1, lambda: NOON + MINUTE)

    message = (await house.gate.view(message_id)).message
    assert (message.state, house.sent()) == ("held", {})
    assert "what a person had signed" in message.detail


async def test_a11_a_hold_first_does_not_turn_a_signed_message_into_an_unsigned_one(house: House) -> None:
    message_id = await house.reply(principal="agent:claude")
    await house.approve(message_id)
    await ask(house, message_id, "agent:claude", wish="hold")

    assert (await ask(house, message_id, "agent:claude")).startswith("held: ")


async def test_a11_a_persons_own_wording_is_not_taken_back_by_an_agent(house: House) -> None:
    message_id = await house.reply(principal="agent:claude")
    view = await house.gate.view(message_id)
    await house.gate.edit(
        house.session("ana"), message_id, title="Re", body="My words.", shown_sha256=view.message.sha256, now=NOON
    )

    assert (await ask(house, message_id, "agent:claude")).startswith("held: ")


async def test_a11_one_of_two_signatures_is_a_person_too(house: House) -> None:
    await house.add_approver("ben")
    message_id = await house.reply()
    await house.approve(message_id, "ben")

    assert (await ask(house, message_id, "agent:claude")).startswith("held: ")


@pytest.mark.parametrize("thief", ["agent:mallory", "agent:claude"])
async def test_a11_a_person_brings_back_what_was_taken_back_and_it_leaves_once_signed(house: House, thief: str) -> None:
    message_id = await house.reply(principal="agent:claude")
    await ask(house, message_id, thief)

    lifted = await house.gate.lift(house.session("ana", NOON + 2), message_id, now=NOON + 2)
    await house.gate.sync(now=NOON + 3)
    await house.approve(message_id, now=NOON + 4)
    await house.tick(NOON + MINUTE)

    assert (lifted.state, len(house.sent())) == ("pending", 1)
    assert (await house.told(message_id)).state == "sent"


async def test_a11_a_withdrawal_is_in_both_records(house: House) -> None:
    message_id = await house.reply(principal="agent:claude")
    await ask(house, message_id, "agent:mallory")

    gates = await house.gate.db.read(
        lambda conn: conn.exec_driver_sql("SELECT detail FROM audit WHERE action = 'message.held'").scalars().all()
    )
    desks = await house.desk.read(
        lambda conn: conn.exec_driver_sql("SELECT actor FROM audit WHERE action = 'proposal.withdraw'").scalars().all()
    )
    assert ["agent:mallory" in one for one in gates] == [True]
    assert desks == ["agent:mallory"]


async def test_a11_the_terminal_lists_what_was_taken_back_today(house: House) -> None:
    message_id = await house.reply(principal="agent:claude")
    await ask(house, message_id, "agent:claude")
    await house.gate.db.write(lambda conn: conn.exec_driver_sql("UPDATE messages SET state_ms = 9000000000000"))

    listed = gate(house.root, "pending").stdout.decode()

    assert f"{message_id} for T-1: withdrawn by agent:claude. Bring it back with gate lift {message_id}" in listed


async def test_a_hostile_name_of_who_asked_steers_nothing(house: House) -> None:
    message_id = await house.reply(principal="agent:claude")

    said = await ask(house, message_id, "agent:\x1b[2J\u202eevil\n" + "x" * 300)

    assert said == screen.safe(said)
    assert "\n" not in said
    assert len(said) < 250


async def test_a_held_message_waits_for_people_in_the_agents_list_too(house: House) -> None:
    message_id = await house.reply(principal="agent:claude")
    await ask(house, message_id, "agent:mallory")

    waiting = await house.desk.read(proposals.recent, waiting=True)

    assert [one.id for one in waiting] == [message_id]
