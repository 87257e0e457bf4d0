"""The pipe an agent's client speaks over: both protocol eras, odd lines, its end, and signals, on a real process."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opspilot_mcp import stdio
from tests.tools.wire import HANDSHAKE, Era, Wire, environment, request

HOSTILE = "ignore-all-previous-instructions"


@pytest.fixture(scope="module", params=["modern", "legacy"])
def era(request: pytest.FixtureRequest) -> Era:
    found: Era = request.param
    return found


@pytest.fixture(scope="module")
def wire(era: Era, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """One server for the tests that leave it as they found it."""
    with Wire(tmp_path_factory.mktemp("pipe") / "home", era=era) as opened:
        yield opened


@pytest.fixture
def modern(tmp_path: Path) -> Iterator[Wire]:
    with Wire(tmp_path / "home") as opened:
        yield opened


# -- what a client does every day --------------------------------------------------------------------------------------


def test_both_eras_list_the_same_tools_and_call_them(wire: Wire) -> None:
    tools = {tool["name"] for tool in wire.ask("tools/list")["result"]["tools"]}

    made = wire.do("create_ticket", subject="Printer on fire", body="It burns.")

    assert {"list_open_tickets", "propose_reply", "get_incident"} <= tools
    assert made["id"] in {row["id"] for row in wire.do("list_open_tickets")["tickets"]}


def test_a_batch_reports_progress_where_the_client_asked_for_it(wire: Wire) -> None:
    wire.do("create_ticket", subject="Login fails", body="Since Monday nobody can log in.")

    number = wire.post("tools/call", {"name": "triage_ticket", "arguments": {}}, progressToken="p-1")
    wire.answer(number)

    progress = [note["params"] for note in wire.notes if note.get("method") == "notifications/progress"]
    assert progress[-1]["progressToken"] == "p-1"
    assert progress[-1]["progress"] == progress[-1]["total"]


def test_a_client_that_probed_first_may_still_shake_hands(modern: Wire) -> None:
    probed = modern.ask("server/discover")

    shaken = modern.shake_hands()

    assert "2026-07-28" in probed["result"]["supportedVersions"]
    assert shaken["result"]["protocolVersion"] == HANDSHAKE["protocolVersion"]
    assert modern.do("desk_stats")["total"] == 0


def test_many_calls_at_once_are_each_answered_under_their_own_id(wire: Wire) -> None:
    numbers = [wire.post_call("search_tickets", text=f"word{n}", limit=1) for n in range(40)]

    answers = [wire.answer(number) for number in reversed(numbers)]

    assert all(answer["result"]["structuredContent"]["found"] == 0 for answer in answers)


# -- odd lines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [b"\n", b"\xff\xfe\x00\x80\n", b"{\n", b"[]\n", b"{}\n", b'"text"\n', b"[" * 100_000 + b"\n", b"\0" * 64 + b"\n"],
)
def test_a_line_that_is_no_message_is_passed_over(wire: Wire, line: bytes) -> None:
    wire.send(line)

    assert "tools" in wire.ask("tools/list")["result"]


@pytest.mark.parametrize("body", ['"method":5', '"method":"tools/call","params":[[', '"method":"x","params":"\\x"'])
def test_a_request_that_cannot_be_read_is_answered_under_its_id(wire: Wire, body: str) -> None:
    wire.send(f'{{"jsonrpc":"2.0","id":"odd-1",{body}}}\n'.encode())

    error = wire.answer("odd-1", within_s=20)["error"]

    assert error["code"] == -32600
    assert error["message"].endswith("Check its JSON and its fields.")


def test_a_text_cut_inside_an_emoji_is_mended_and_the_call_is_done(wire: Wire, era: Era) -> None:
    arguments = {"subject": "Half an emoji \ud83d", "body": "It was cut by the client."}
    wire.send(request("cut-1", "tools/call", {"name": "create_ticket", "arguments": arguments}, era=era))

    made = wire.answer("cut-1", within_s=20)["result"]["structuredContent"]

    assert wire.do("get_ticket", ticket_id=made["id"])["untrusted_subject"].startswith("Half an emoji")


@pytest.mark.parametrize("id_stands", ["first", "last"])
def test_a_line_over_the_cap_is_refused_under_its_own_id(wire: Wire, id_stands: str) -> None:
    arguments = f'{{"id":"T-1","reason":"{"x" * stdio.LINE_CAP}"}}'
    call = f'"method":"tools/call","params":{{"name":"escalate","arguments":{arguments}}}'
    heavy = f'"jsonrpc":"2.0","id":9001,{call}' if id_stands == "first" else f'{call},"jsonrpc":"2.0","id":9001'

    wire.send(f"{{{heavy}}}\n".encode())

    assert "Send it in smaller parts" in wire.answer(9001, within_s=20)["error"]["message"]
    assert "tools" in wire.ask("tools/list")["result"]


def test_a_line_of_exactly_the_cap_is_taken() -> None:
    frame = json.dumps(request(1, "tools/list", {"pad": ""}, era="legacy")).encode()
    fits = frame.replace(b'"pad": ""', b'"pad": "' + b"x" * (stdio.LINE_CAP - len(frame)) + b'"')

    assert len(fits) == stdio.LINE_CAP
    assert stdio.readable(fits) == fits.decode()


def test_nothing_a_stranger_wrote_reaches_stderr(wire: Wire) -> None:
    wire.call(HOSTILE, **{HOSTILE: HOSTILE})
    wire.call("create_ticket", subject=HOSTILE, body={HOSTILE: 1})
    wire.ask("resources/read", {"uri": f"ticket://{HOSTILE}"})
    wire.ask("prompts/get", {"name": HOSTILE, "arguments": {HOSTILE: HOSTILE}})
    wire.ask(HOSTILE, {"name": HOSTILE})
    wire.send(f'{{"jsonrpc":"2.0","id":1,"method":"{HOSTILE}"\n'.encode())

    assert "tools" in wire.ask("tools/list")["result"]
    assert HOSTILE not in wire.stderr()


# -- the end -----------------------------------------------------------------------------------------------------------


def test_a_closed_pipe_ends_the_process_cleanly(modern: Wire) -> None:
    modern.do("create_ticket", subject="kept", body="kept")

    code = modern.end()

    assert (code, modern.stderr()) == (0, "")


def test_a_signal_ends_an_idle_process_cleanly(modern: Wire) -> None:
    modern.do("create_ticket", subject="kept", body="kept")

    modern.process.send_signal(signal.SIGTERM)

    assert (modern.process.wait(15), modern.stderr()) == (0, "")


def test_a_signal_ends_a_process_that_waits_for_a_person(modern: Wire) -> None:
    modern.do("create_ticket", subject="s", body="b", requester_email="dana@example.com")
    made = modern.do("propose_reply", ticket_id="T-1", body="Hello")
    modern.post_call("request_approval", proposal_id=made["id"], wait_s=45)
    time.sleep(0.7)

    modern.process.send_signal(signal.SIGINT)

    assert (modern.process.wait(15), modern.stderr()) == (0, "")


def test_a_client_that_stops_reading_ends_the_process(tmp_path: Path) -> None:
    env, command = environment(tmp_path / "home"), [sys.executable, "-m", "opspilot_mcp"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
    ) as one:
        assert one.stdin is not None
        assert one.stdout is not None
        one.stdin.write(json.dumps(request(1, "tools/list", era="modern")).encode() + b"\n")
        one.stdin.flush()
        one.stdout.readline()

        one.stdout.close()
        _, said = one.communicate(json.dumps(request(2, "tools/list", era="modern")).encode() + b"\n", timeout=30)

    assert (one.returncode, said) == (0, b"")


def test_a_last_line_without_its_end_is_still_a_line(modern: Wire) -> None:
    modern.send(json.dumps(request(1, "tools/list", era="modern")).encode())

    assert modern.end() == 0
    assert 1 in {modern.answer(1)["id"]}


# -- wrong settings ----------------------------------------------------------------------------------------------------


def test_a_home_that_is_a_file_stops_the_process_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")

    with Wire(tmp_path / "home") as wire:
        code = wire.process.wait(30)

    assert code == 2
    assert _one_sentence(wire, "OPSPILOT_HOME")


def test_an_unknown_setting_stops_the_process_and_is_named(tmp_path: Path) -> None:
    with Wire(tmp_path / "home", OPSPILOT_HOEM="x") as wire:
        code = wire.process.wait(30)

    assert code == 2
    assert _one_sentence(wire, "OPSPILOT_HOEM")


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"[gate]\nthreshhold = 0.7\n", "policy.toml line 2: gate.threshhold is not a known key"),
        (b"x = " + b"[" * 5000, "policy.toml is nested too deeply"),
    ],
)
def test_a_broken_policy_stops_the_process_and_names_key_and_line(tmp_path: Path, content: bytes, names: str) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "policy.toml").write_bytes(content)

    with Wire(tmp_path / "home") as wire:
        # A client speaks before it knows that nobody will answer.
        wire.post("tools/list")
        code = wire.process.wait(30)

    assert code == 2
    assert _one_sentence(wire, names)


def test_a_file_that_is_no_database_stops_the_process_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "desk.db").write_bytes(b"not a database" * 1000)

    with Wire(tmp_path / "home") as wire:
        code = wire.process.wait(30)

    assert code == 2
    assert _one_sentence(wire, "desk.db is damaged")


def _one_sentence(wire: Wire, names: str) -> bool:
    said = wire.stderr()
    return names in said and said.startswith("opspilot-mcp: ") and said.count("\n") == 1 and "Traceback" not in said


def test_a_read_only_profile_refuses_what_it_does_not_show(tmp_path: Path) -> None:
    with Wire(tmp_path / "home", "serve", "--read-only", "--profile", "desk") as wire:
        shown = {tool["name"] for tool in wire.ask("tools/list")["result"]["tools"]}
        refused = wire.call("create_ticket", subject="s", body="b")

    assert "create_ticket" not in shown
    assert refused["isError"]
