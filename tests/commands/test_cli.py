"""The command line: help for every command, exit codes, JSON for scripts, readers that go away, `doctor` and `demo`."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from opspilot_mcp import __main__, cli
from tests.tools.wire import environment
from tests.walks.terminal import interrupted_at, type_into

Run = Callable[..., int]

COMMANDS: list[tuple[str, ...]] = [
    (),
    ("serve",),
    ("demo",),
    ("triage",),
    ("import",),
    ("import", "tickets"),
    ("import", "alerts"),
    ("import", "topology"),
    ("correlate",),
    ("export",),
    ("doctor",),
    ("gate",),
]


def shell(home: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of sh in which $OPSPILOT stands for the command."""
    command = ["bash", "-c", line.replace("$OPSPILOT", f"{sys.executable} -m opspilot_mcp")]
    return subprocess.run(command, env=environment(home), capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_in_a_hundred_columns(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")

    code = run(*command, "--help")

    shown = capsys.readouterr().out
    assert code == 0
    assert "Usage: opspilot-mcp" in shown
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize(
    "argv",
    [("nosuch",), ("import", "nosuch"), ("import", "tickets"), ("triage", "--limit", "many"), ("export", "x", "y")],
)
def test_a_wrong_command_is_refused_with_two(run: Run, argv: tuple[str, ...]) -> None:
    assert run(*argv) == 2


@pytest.mark.parametrize(
    "argv", [("nosuch",), ("triage", "--limit", "many"), ("gate", "aprove"), ("triage", "--x\x1b[31m")]
)
def test_a_wrong_command_is_told_in_one_plain_line(
    run: Run, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]
) -> None:
    run(*argv)

    said = capsys.readouterr().err
    assert said.startswith("opspilot-mcp: ")
    assert said.count("\n") == 1
    assert f"`opspilot-mcp {argv[0]} --help`" in said or "`opspilot-mcp --help`" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("limit", ["0", "-5"])
def test_a_limit_below_one_is_refused(run: Run, limit: str) -> None:
    assert run("triage", "--limit", limit) == 2


@pytest.mark.parametrize(
    "command", [["triage", "--all"], ["doctor"], ["export", "tickets", "out.csv"], ["correlate"], ["serve"]]
)
def test_a_wrong_setting_stops_each_command_with_one_sentence_that_names_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    monkeypatch.setenv("OPSPILOT_POLCY", "x")

    code = run(*command, *(["--json"] if command == ["doctor"] else []))

    told = capsys.readouterr()
    assert code == (1 if command == ["doctor"] else 2)
    assert "OPSPILOT_POLCY is not a setting" in (told.out if command == ["doctor"] else told.err)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"[gate\n", "policy.toml is not TOML"),
        (b"[desk]\nname = '\xff'\n", "policy.toml is not UTF-8"),
        (b"[gate]\nthreshold = 7\n", "policy.toml line 2: gate.threshold"),
        (b"[gate]\nthreshold = nan\n", "policy.toml line 2: gate.threshold"),
        (b"[desk]\ncategories = ['../../etc/passwd', 'b']\n", "policy.toml line 2: desk.categories"),
        (b"[channels]\nreplies = 'fax'\n", "policy.toml line 2: channels.replies"),
    ],
)
def test_a_broken_policy_is_named_by_key_and_line(
    run: Run, home: Path, capsys: pytest.CaptureFixture[str], content: bytes, names: str
) -> None:
    home.mkdir()
    (home / "policy.toml").write_bytes(content)

    assert run("triage", "--all") == 2

    assert names in capsys.readouterr().err


@pytest.mark.parametrize("home", ["/dev/null/x", "/" + "x" * 300, "relative/path", "~nobodyatall/x"])
def test_a_home_that_cannot_be_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: str
) -> None:
    monkeypatch.setenv("OPSPILOT_HOME", home)

    assert run("triage", "--all") == 2

    said = capsys.readouterr().err
    assert said.startswith("opspilot-mcp: ")
    assert "OPSPILOT_HOME" in said


def test_triage_all_takes_the_whole_backlog_and_a_second_run_finds_none(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text(
        "".join(json.dumps({"id": n, "subject": f"Login fails {n}", "body": "x"}) + "\n" for n in range(250))
    )
    assert run("import", "tickets", file, "--json") == 0
    capsys.readouterr()

    codes = [run("triage", "--all", "--json"), run("triage", "--all", "--json")]

    first, second = capsys.readouterr().out.split("}\n{")
    assert codes == [0, 0]
    assert json.loads(first + "}")["triaged"] == 250
    assert json.loads("{" + second)["triaged"] == 0


def test_the_reader_of_a_pipe_may_go_away(home: Path) -> None:
    for command in ("doctor", "triage --all --json"):
        done = shell(home, f"$OPSPILOT {command} | true; echo ${{PIPESTATUS[0]}}")

        assert done.stderr == ""
        assert done.stdout.strip() in ("0", "1")


# -- doctor and demo ---------------------------------------------------------------------------------------------------


def test_an_answer_that_cannot_be_written_is_told_in_one_line(home: Path) -> None:
    done = shell(home, "$OPSPILOT triage > /dev/full")

    assert done.returncode == 2
    assert done.stderr == (
        "opspilot-mcp: Cannot read or write the answer: No space left on device. Check path and free space.\n"
    )


def test_a_letter_the_terminal_cannot_draw_comes_out_as_its_code(home: Path, tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text('{"services": ["db"]}')
    alert = {"id": "a1", "alertname": "Störung", "ts": 1_700_000_000, "service": "db"}
    (tmp_path / "in.jsonl").write_text(json.dumps(alert, ensure_ascii=False) + "\n")

    done = shell(
        home, f"$OPSPILOT import alerts {tmp_path}/in.jsonl --correlate; PYTHONIOENCODING=ascii $OPSPILOT correlate"
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert r"St\xf6rung at db" in done.stdout


@pytest.mark.parametrize("option", ["--out", "--incidents", "--html"])
def test_a_replay_looks_where_it_will_write_before_it_works(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    data = Path(__file__).parents[2] / "data"
    where = {"--out": tmp_path / "out.jsonl", option: tmp_path / "no" / "such"}

    code = run("replay", data / "storm.jsonl", "--topology", data / "topology.json", *sum(where.items(), ()))

    assert (code, "cannot be written. Name a file" in capsys.readouterr().err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def findings(run: Run, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    capsys.readouterr()
    run("doctor", "--json")
    return {found["name"]: found for found in json.loads(capsys.readouterr().out)}


def test_doctor_on_an_empty_machine_makes_nothing_and_finds_no_problem(
    run: Run, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("doctor") == 0

    assert not home.exists()
    assert findings(run, capsys)["database"]["verdict"] == "note"


def test_doctor_says_l0_and_what_it_means(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    says = findings(run, capsys)["isolation"]["says"]

    assert says.startswith("L0")
    assert "could read and replace anything" in says


def test_doctor_says_how_a_gate_is_set_up_that_never_was(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("triage", "--all")
    capsys.readouterr()

    says = findings(run, capsys)["gate"]["says"]

    assert "Start: opspilot-mcp gate init, once, then opspilot-mcp gate run" in says


def test_doctor_names_what_is_wrong_and_the_next_step(run: Run, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("triage", "--all") == 0
    home.chmod(0o755)
    (home / "policy.toml").write_text("[desk]\nnam = 'x'\n")
    (home / "desk.db").write_bytes(b"\0" * 100 + (home / "desk.db").read_bytes()[100:])

    assert run("doctor") == 1

    found = findings(run, capsys)
    assert found["home"]["verdict"] == found["files"]["verdict"] == found["database"]["verdict"] == "problem"
    assert "chmod 700" in found["home"]["says"]
    assert "policy.toml line 2: desk.nam is not a known key" in found["files"]["says"]
    assert "restore a backup" in found["database"]["says"]


def test_doctor_sees_a_database_of_another_version(run: Run, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("triage", "--all") == 0
    with sqlite3.connect(home / "desk.db") as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")

    assert run("doctor") == 1

    assert "newest opspilot-mcp" in findings(run, capsys)["database"]["says"]


def test_a_person_who_starts_the_server_by_hand_is_told_what_it_is(home: Path) -> None:
    shown = type_into([], [("a client such as Claude Desktop starts it", "\x04")], home=home)

    assert "opspilot-mcp --help" in shown


@pytest.mark.parametrize(
    ("argv", "question"), [(("gate", "init", "--as", "ana"), "New passphrase"), (("review",), "Category, and P1")]
)
def test_one_ctrl_c_ends_a_question(run: Run, home: Path, tmp_path: Path, argv: tuple[str, ...], question: str) -> None:
    (tmp_path / "in.csv").write_text("id,subject,body\n1,Hello,What is this about?\n")
    assert (run("import", "tickets", tmp_path / "in.csv"), run("triage")) == (0, 0)

    code, shown = interrupted_at(question, argv, home=home)

    assert (code, "opspilot-mcp: stopped." in shown) == (130, True)


def test_a_ctrl_c_while_modules_load_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run", interrupted)
    monkeypatch.setattr(sys, "argv", ["opspilot-mcp", "triage"])

    with pytest.raises(SystemExit) as ended:
        __main__.main()

    assert (ended.value.code, capsys.readouterr().err) == (130, "opspilot-mcp: stopped.\n")


def test_a_narrow_terminal_shows_a_ticket_a_line(home: Path) -> None:
    shown = type_into(["demo"], [], home=home, columns=60)

    queue = shown.split("goes to", 1)[1].split("triaged offline", 1)[0].splitlines()
    assert sum("T-" in line for line in queue) == 8
    assert len([line for line in queue if line.strip()]) <= 11


def test_the_demo_sends_nothing_before_the_signature_and_says_so_in_json(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("demo", "--json", "--home", tmp_path / "demo") == 0

    told = json.loads(capsys.readouterr().out)
    assert told["tickets"] == told["routed_to_a_tier"] + told["to_a_person"] >= 24
    assert told["sent_before_signature"] == 0
    assert Path(told["delivered"]).stat().st_size == told["delivered_bytes"]
    assert run("demo", "--home", tmp_path / "demo") == 2
