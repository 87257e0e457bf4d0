"""ASSURANCE F01, F03 and F04: crashes and broken wires lose nothing, double nothing, outlive no signature."""

import asyncio
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from opspilot_mcp.gate import deskside, dispatch
from opspilot_mcp.gate.dispatch import CRASH_LABELS, LEASE_MS
from tests.assurance.forks import Dispatchers
from tests.assurance.sinks import Sinks
from tests.gate.conftest import HOUR, MINUTE, NOON, House
from tests.gate.sinks import Script, broken_mail_server, smtp_until, web_server

ON_OTHERS = dict.fromkeys(CRASH_LABELS, "sent") | {
    "after_claim": "uncertain",
    "after_send": "uncertain",
    "in_mark": "uncertain",
}


def hooks(port: int, *, idempotent: bool) -> str:
    return (
        f'[network]\nallow_private = ["127.0.0.1:{port}"]\n[approval]\nundo_seconds = 0\n[limits]\nper_hour = 10000\n'
        f'[channels.oncall]\nkind = "webhook"\nurl = "http://127.0.0.1:{port}/"\nsecret_env = "OPSPILOT_GATE_HOOK"\n'
        f"idempotent = {str(idempotent).lower()}\n"
    )


async def kill_at(house: House, forks: Dispatchers, label: str, runs: int) -> list[str]:
    """Sign messages, kill one of two dispatchers at `label` for each, let others take over; returns the states."""
    ids = []
    for run in range(runs):
        ids.append(await house.page(key=f"{label}-{run}", title=f"{label} {run}"))
        await house.approve(ids[-1])
        assert -9 in forks.together([(house.root, NOON, label), (house.root, NOON, label)])
        forks.one(house.root, NOON)
    later = NOON + LEASE_MS + MINUTE
    for _ in range(3):
        forks.together([(house.root, later, ""), (house.root, later, "")])
        later += 20 * MINUTE
    return [await house.state(one) for one in ids]


async def check_unrepeatable(house: House, forks: Dispatchers, wires: list[bytes], label: str, runs: int) -> None:
    with web_server() as sink:
        await house.settings(hooks(sink.port, idempotent=False))
        states = await kill_at(house, forks, label, runs)
    wires += sink.bodies  # twice the same bytes would fail there

    assert set(states) <= {"sent", ON_OTHERS[label]}
    assert len(sink.bodies) >= states.count("sent")


async def check_repeatable(house: House, forks: Dispatchers, wires: list[bytes], label: str, runs: int) -> None:
    with web_server() as sink:
        await house.settings(hooks(sink.port, idempotent=True))
        states = await kill_at(house, forks, label, runs)
    wires += set(sink.bodies)

    keys = Counter((headers["idempotency-key"], body) for _, headers, body in sink.arrived)
    assert states == ["sent"] * runs
    assert len({key for key, _ in keys}) == len(keys) == runs  # one key a message, whatever was repeated


@pytest.mark.parametrize("label", CRASH_LABELS)
async def test_f01_kill_loses_and_doubles_nothing_where_repeats_arrive(
    house: House, forks: Dispatchers, wires: list[bytes], label: str
) -> None:
    await check_unrepeatable(house, forks, wires, label, 1)


@pytest.mark.parametrize("label", CRASH_LABELS)
async def test_f01_kill_loses_nothing_where_repeats_are_dropped(
    house: House, forks: Dispatchers, wires: list[bytes], label: str
) -> None:
    await check_repeatable(house, forks, wires, label, 1)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("label", CRASH_LABELS)
async def test_f01_fifty_kills_a_label(house: House, forks: Dispatchers, wires: list[bytes], label: str) -> None:
    await check_unrepeatable(house, forks, wires, label, 50)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("label", CRASH_LABELS)
async def test_f01_fifty_kills_a_label_where_repeats_are_dropped(
    house: House, forks: Dispatchers, wires: list[bytes], label: str
) -> None:
    await check_repeatable(house, forks, wires, label, 50)


MAIL_FAULTS = [
    ("mail", "451 later", "retry"),
    ("rcpt", "550 unknown", "failed"),
    ("data", "drop", "retry"),
    ("body", "452 full", "retry"),
    ("body", "554 no", "failed"),
    ("body", "drop", "uncertain"),
    ("body", "hang", "uncertain"),
]


@pytest.mark.parametrize(("stage", "then", "state"), MAIL_FAULTS)
async def test_f03_mail_fault_is_judged_by_what_is_known(
    house: House, sinks: Sinks, stage: str, then: str, state: str
) -> None:
    with broken_mail_server(smtp_until(stage, then=then)) as script:
        await house.settings(_mail_at(sinks, script))
        message_id = await house.reply()
        await house.approve(message_id)
        await house.tick(NOON + MINUTE)
        found = await house.state(message_id)
        await house.tick(NOON + MINUTE + 1)

    assert found == state
    assert script.connections == 1


def _mail_at(sinks: Sinks, script: Script) -> str:
    text = sinks.settings.replace(str(sinks.mail.port), str(script.port))
    return text.replace("timeout_s = 2", "timeout_s = 1")


@pytest.mark.parametrize(
    ("status", "headers", "state"),
    [(400, {}, "failed"), (429, {"Retry-After": "120"}, "retry"), (500, {}, "uncertain"), (302, {}, "failed")],
)
async def test_f03_web_fault_is_judged_by_what_is_known(
    house: House, sinks: Sinks, status: int, headers: dict[str, str], state: str
) -> None:
    sinks.hook.answers[:] = [(status, headers, b"")]
    await house.settings(sinks.settings)
    message_id = await house.page(channel="hook")
    await house.approve(message_id)

    await house.tick(NOON + MINUTE)
    arrived = len(sinks.hook.arrived)
    await house.tick(NOON + MINUTE + 119_000)

    assert (await house.state(message_id), arrived, len(sinks.hook.arrived)) == (state, 1, 1)
    sinks.hook.arrived.clear()  # refused bytes did not reach anybody


async def test_f04_retries_end_with_the_approval_and_ask_again(house: House, sinks: Sinks) -> None:
    await house.settings(sinks.settings)
    sinks.mail.answer = "451 later"
    message_id = await house.reply()
    await house.approve(message_id)
    for turn in range(1, 5):
        await house.tick(NOON + turn * 30 * MINUTE)

    sinks.mail.answer = "250 taken"
    await house.tick(NOON + 4 * HOUR)
    told = await house.told(message_id)

    assert (await house.state(message_id), sinks.arrived) == ("expired", [])
    assert "sign" in (told.outcome_detail or "")


async def test_f_two_first_users_of_the_desk_open_it_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, connect = [], deskside.connect

    def counted(path: Path) -> sqlite3.Connection:
        opened.append(path)
        return connect(path)

    monkeypatch.setattr(deskside, "connect", counted)
    desk = deskside.Desk(house.root / "desk.db")

    await asyncio.gather(desk._open(), desk._open())
    await desk.close()

    assert len(opened) == 1


async def test_f01_sender_that_woke_up_late_marks_nothing(house: House) -> None:
    await house.approve(await house.page())
    authority, write = house.gate.authority, house.gate.db.write
    look = (await house.gate.desk.read(deskside.look_at, [1]))[1]
    asleep = await write(dispatch.claim, authority, 1, look, now=NOON)
    await write(dispatch.reap, authority, now=NOON + LEASE_MS)
    awake = await write(dispatch.claim, authority, 1, look, now=NOON + LEASE_MS + 1)
    assert asleep is not None
    assert awake is not None

    late = await write(dispatch.mark, asleep, dispatch.Result("failed", "late"), now=NOON + LEASE_MS + 2)

    assert (late, await house.state("PR-1")) == (False, "sending")
