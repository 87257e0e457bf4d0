"""ASSURANCE F01: a kill at any step loses nothing and doubles nothing. The dispatcher runs as a real process."""

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from opspilot_mcp.gate import deskside, dispatch
from opspilot_mcp.gate.dispatch import CRASH_LABELS, LEASE_MS
from tests.gate.conftest import MINUTE, NOON, House, check_invariant
from tests.gate.sinks import web_server

REPO = Path(__file__).parents[2]
# The worst moment always, the others with the slow forms: tests/assurance kills at every one of them too.
WORST_FIRST = [
    label if label == "after_send" else pytest.param(label, marks=pytest.mark.long) for label in CRASH_LABELS
]
CODE = (
    "import asyncio, sys\nfrom pathlib import Path\nfrom opspilot_mcp.gate.service import Gate\n"
    "async def go():\n"
    "    gate = await Gate.open(Path(sys.argv[1]), now=int(sys.argv[2]))\n"
    "    for _ in range(int(sys.argv[3])): await gate.tick(now=int(sys.argv[2]))\n"
    "asyncio.run(go())\n"
)


def _settings(port: int, *, idempotent: bool) -> str:
    return (
        f'[network]\nallow_private = ["127.0.0.1:{port}"]\n[approval]\nundo_seconds = 0\n[limits]\nper_hour = 10000\n'
        f'[channels.replies]\nkind = "file"\n[channels.filed]\nkind = "file"\n'
        f'[channels.oncall]\nkind = "webhook"\nurl = "http://127.0.0.1:{port}/"\n'
        f'secret_env = "OPSPILOT_GATE_HOOK"\nidempotent = {str(idempotent).lower()}\n'
    )


async def _dispatcher(house: House, *, now: int, crash: str = "", turns: int = 1) -> int | None:
    """Run a dispatcher process to its end; returns its exit code."""
    secret = "whsec_" + "a2s" * 16
    env = {**os.environ, "OPSPILOT_GATE_HOOK": secret, "OPSPILOT_CRASH_AT": crash}
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CODE, str(house.root), str(now), str(turns), cwd=REPO, env=env
    )
    return await running.wait()


async def _crash_and_recover(house: House, label: str, *, channel: str, prefix: str) -> str:
    """Sign a page, crash at `label`, let another dispatcher take over after the lease; returns the state then."""
    message_id = await house.page(channel=channel, key=prefix, title=prefix)
    await house.approve(message_id)
    code = await _dispatcher(house, now=NOON, crash=label)
    assert code == -9
    await _dispatcher(house, now=NOON, turns=2)
    await _dispatcher(house, now=NOON + LEASE_MS + MINUTE, turns=2)
    return await house.state(message_id)


@pytest.mark.parametrize("label", CRASH_LABELS)
async def test_f01_kill_in_a_dispatcher_of_a_webhook_that_may_repeat_nothing(house: House, label: str) -> None:
    with web_server() as sink:
        await house.settings(_settings(sink.port, idempotent=False))
        state = await _crash_and_recover(house, label, channel="oncall", prefix=label)

    expected = {"after_claim": "uncertain", "after_send": "uncertain", "in_mark": "uncertain"}.get(label, "sent")
    assert state == expected
    assert len(sink.arrived) == (0 if label == "after_claim" else 1)
    check_invariant(house.root, sink.bodies)


@pytest.mark.parametrize("label", WORST_FIRST)
async def test_f01_kill_in_a_dispatcher_of_a_webhook_that_drops_repeats(house: House, label: str) -> None:
    with web_server() as sink:
        await house.settings(_settings(sink.port, idempotent=True))
        state = await _crash_and_recover(house, label, channel="oncall", prefix=label)

    keys = Counter(headers["idempotency-key"] for _, headers, _ in sink.arrived)
    assert state == "sent"
    assert len(keys) == 1
    check_invariant(house.root, list(set(sink.bodies)))


@pytest.mark.parametrize("label", WORST_FIRST)
async def test_f01_kill_in_a_dispatcher_of_files(house: House, label: str) -> None:
    await house.settings(_settings(1, idempotent=False))

    state = await _crash_and_recover(house, label, channel="filed", prefix=label)

    whole = [name for name in house.sent() if not name.startswith(".")]
    assert (state, len(whole)) == ("sent", 1)


async def test_f01_the_record_is_whole_after_a_crash(house: House) -> None:
    await house.settings(_settings(1, idempotent=False))

    await _crash_and_recover(house, "in_mark", channel="filed", prefix="in_mark")

    assert (await house.gate.verify_audit()).first_bad is None


async def test_f01_sleeping_sender_does_not_send_after_its_lease(house: House) -> None:
    with web_server() as sink:
        await house.settings(_settings(sink.port, idempotent=False))
        message_id = await house.page(channel="oncall")
        await house.approve(message_id)

        times = iter([NOON, NOON + LEASE_MS])  # claimed, then asleep past the lease
        await house.gate.turns.deliver(1, 1, lambda: next(times, NOON + LEASE_MS))

    assert sink.arrived == []
    assert await house.state(message_id) == "retry"


async def test_f01_late_sender_cannot_overwrite_what_a_person_was_asked(house: House) -> None:
    await house.settings(_settings(1, idempotent=False))
    message_id = await house.page(channel="oncall")
    await house.approve(message_id)
    look = (await house.gate.desk.read(deskside.look_at, [1]))[1]
    claim = await house.gate.db.write(dispatch.claim, house.gate.authority, 1, look, now=NOON)
    assert claim is not None
    await house.gate.db.write(dispatch.reap, house.gate.authority, now=NOON + LEASE_MS)

    won = await house.gate.db.write(dispatch.mark, claim, dispatch.Result("sent", "ok"), now=NOON + LEASE_MS + 1)

    message = (await house.gate.view(message_id)).message
    assert (won, message.state) == (False, "uncertain")
    assert "woke up late" in message.detail
