"""The terminal as a process: what it shows, refuses to a script, and leaves on disk (C01, C02, C04, C07, C08)."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from opspilot_mcp import clock, proposals
from opspilot_mcp.gate import running, screen
from opspilot_mcp.gate.home import Home
from opspilot_mcp.gate.terminal import app
from tests.gate.conftest import PASSPHRASE, House

REPO = Path(__file__).parents[2]
RUN = [sys.executable, "-c", "from opspilot_mcp.gate.terminal import app; app()"]


@pytest.fixture
def passphrase_file(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n")
    path.chmod(0o600)
    return path


def gate(
    house_root: Path, *arguments: str, typed: bytes = b"", umask: int = 0o022, **env: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a gate command as a script would: no terminal, only a pipe."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPSPILOT_")}
    return subprocess.run(
        [*RUN, *arguments],
        cwd=REPO,
        env={**kept, "OPSPILOT_HOME": str(house_root), **env},
        input=typed,
        capture_output=True,
        timeout=60,
        umask=umask,
        start_new_session=True,
        check=False,
    )


async def _proposed(house: House) -> str:
    return await house.page(now=clock.now_ms())


async def test_page_is_read_signed_and_sent_from_the_terminal(house: House, passphrase_file: Path) -> None:
    message_id = await _proposed(house)
    signer = ("--as", "ana", "--passphrase-file", str(passphrase_file))

    shown = gate(house.root, "show", message_id).stdout.decode()
    approved = gate(house.root, "approve", message_id, *signer)
    ticked = gate(house.root, "tick")

    view = await house.gate.view(message_id)
    assert view.message.sha256 in shown
    assert view.code in shown
    assert "Primary database does not answer." in shown
    assert (approved.returncode, ticked.stdout) == (0, b"1 sent.\n")
    assert len(house.sent()) == 1


@pytest.mark.parametrize("typed", [b"y\n" * 1000, PASSPHRASE.encode() + b"\n", b"ana\n" + PASSPHRASE.encode() + b"\n"])
async def test_c07_approval_fed_by_a_pipe_is_refused(house: House, typed: bytes) -> None:
    message_id = await _proposed(house)

    done = gate(house.root, "approve", message_id, "--as", "ana", typed=typed)

    assert done.returncode == 2
    assert await house.state(message_id) == "pending"


def _in_a_scripted_terminal(root: Path, *arguments: str, answer: bytes) -> int:
    """Run a gate command in a terminal as `script` or `expect` make one; returns its exit code."""
    pid, handle = pty.fork()
    if pid == 0:
        os.environ["OPSPILOT_HOME"] = str(root)
        os.chdir(REPO)
        os.execv(sys.executable, [*RUN, *arguments])  # noqa: S606
    output, deadline = b"", time.monotonic() + 30
    while b"assphrase:" not in output and time.monotonic() < deadline:
        output += os.read(handle, 65_536)
    os.write(handle, answer)
    _, status = os.waitpid(pid, 0)
    os.close(handle)
    return os.waitstatus_to_exitcode(status)


async def test_c07_terminal_without_the_passphrase_is_refused(house: House) -> None:
    message_id = await _proposed(house)

    code = _in_a_scripted_terminal(house.root, "approve", message_id, "--as", "ana", answer=b"yes\n")

    assert code == 2
    assert await house.state(message_id) == "pending"


async def test_c07_the_same_terminal_with_the_passphrase_signs(house: House) -> None:
    message_id = await _proposed(house)

    code = _in_a_scripted_terminal(house.root, "approve", message_id, "--as", "ana", answer=PASSPHRASE.encode() + b"\n")

    assert (code, await house.state(message_id)) == (0, "approved")


async def test_c07_passphrase_is_no_argument(house: House) -> None:
    message_id = await _proposed(house)

    done = gate(house.root, "approve", message_id, "--as", "ana", "--passphrase", PASSPHRASE)

    assert done.returncode != 0
    assert await house.state(message_id) == "pending"


async def test_a_script_is_told_at_once_that_high_risk_asks_for_the_recipient(
    house: House, passphrase_file: Path
) -> None:
    message_id = await house.reply(now=clock.now_ms())
    signer = ("approve", message_id, "--as", "ana", "--passphrase-file", str(passphrase_file))

    refused = gate(house.root, *signer)
    signed = gate(house.root, *signer, "--recipient", "mira@example.org")

    assert (refused.returncode, signed.returncode) == (2, 0)
    assert b"--recipient" in refused.stderr
    assert b"Not before" not in signed.stdout  # a file has no undo window
    assert await house.state(message_id) == "approved"


async def test_passphrase_file_open_to_others_is_refused(house: House, passphrase_file: Path) -> None:
    message_id = await _proposed(house)
    passphrase_file.chmod(0o644)

    done = gate(house.root, "approve", message_id, "--as", "ana", "--passphrase-file", str(passphrase_file))

    assert b"chmod 600" in done.stderr
    assert await house.state(message_id) == "pending"


async def test_rejecting_holding_and_killing_need_no_passphrase(house: House) -> None:
    first, second = await _proposed(house), await house.page(key="inc-2", now=clock.now_ms())

    codes = [
        gate(house.root, "hold", first).returncode,
        gate(house.root, "reject", second, "--reason", "no").returncode,
        gate(house.root, "kill").returncode,
    ]

    assert codes == [0, 0, 0]
    assert [await house.state(one) for one in (first, second)] == ["held", "rejected"]
    assert b"KILLED" in gate(house.root, "status").stdout


async def test_release_and_lift_need_a_person(house: House, passphrase_file: Path) -> None:
    message_id = await _proposed(house)
    gate(house.root, "hold", message_id)
    gate(house.root, "kill")

    assert gate(house.root, "lift", message_id).returncode == 2
    assert gate(house.root, "release").returncode == 2

    signer = ("--as", "ana", "--passphrase-file", str(passphrase_file))
    assert gate(house.root, "lift", message_id, *signer).returncode == 0
    assert gate(house.root, "release", *signer).returncode == 0


async def test_text_is_edited_and_doubt_resolved_from_the_terminal(
    house: House, passphrase_file: Path, tmp_path: Path
) -> None:
    message_id = await _proposed(house)
    signer = ("--as", "ana", "--passphrase-file", str(passphrase_file))
    (tmp_path / "words.txt").write_text("Better words.")

    edited = gate(house.root, "edit", message_id, str(tmp_path / "words.txt"), *signer)
    assert (edited.returncode, (await house.gate.view(message_id)).text) == (0, "Better words.")

    await house.gate.db.write(lambda conn: conn.exec_driver_sql("UPDATE messages SET state = 'uncertain'"))
    resolved = gate(house.root, "resolve", message_id, "--not-arrived", *signer)
    assert (resolved.returncode, await house.state(message_id)) == (0, "pending")


async def test_second_approver_is_added_and_revoked_from_the_terminal(house: House, passphrase_file: Path) -> None:
    new = ("--as", "ana", "--passphrase-file", str(passphrase_file), "--new-passphrase-file", str(passphrase_file))

    added = gate(house.root, "approver", "add", "bob", *new)
    revoked = gate(house.root, "approver", "revoke", "bob")

    assert (added.returncode, revoked.returncode) == (0, 0)
    assert b"bob                      revoked" in gate(house.root, "approver", "list").stdout


async def test_audit_verify_tells_by_its_exit_code(house: House) -> None:
    assert gate(house.root, "audit", "verify").returncode == 0

    house.gate.checkpoints.path.write_bytes(b"")

    assert gate(house.root, "audit", "verify").returncode == 1


async def test_a_text_that_is_not_there_is_told_apart_from_one_of_another_encoding(
    house: House, passphrase_file: Path, tmp_path: Path
) -> None:
    message_id = await _proposed(house)
    (tmp_path / "latin.txt").write_bytes("Grüße".encode("latin-1"))
    signer = ("--as", "ana", "--passphrase-file", str(passphrase_file))

    said = [
        gate(house.root, "edit", message_id, str(tmp_path / name), *signer).stderr for name in ("none", "latin.txt")
    ]

    assert b"No such file" in said[0]
    assert b"is not UTF-8 text" in said[1]


async def test_status_says_whether_anything_is_there_to_send(house: House) -> None:
    alone = gate(house.root, "status").stdout.decode()
    await house.gate.beat(now=clock.now_ms())

    served = gate(house.root, "status").stdout.decode()

    assert "no dispatcher runs. Start it with: opspilot-mcp gate run" in alone
    assert "open: signed messages may leave\n" in served


async def test_c02_status_says_l0_when_one_user_runs_all(house: House) -> None:
    said = gate(house.root, "status").stdout

    assert b"L0" in said
    assert b"WITH A SHELL" in said


def test_c02_home_of_another_user_with_a_closed_gate_is_l1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to give files to another user")
    home = Home(tmp_path / "home").make()
    home.desk_db.touch()
    os.chown(home.desk_db, 65_533, 65_533)
    home.root.chmod(0o2770)
    os.chown(home.gate, 65_534, 65_534)
    monkeypatch.setattr(os, "geteuid", lambda: 65_534)

    assert screen.isolation(home).startswith("Isolation L1")


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_c04_everything_the_gate_makes_is_private(tmp_path: Path, passphrase_file: Path, umask: int) -> None:
    root = tmp_path / "home"

    done = gate(root, "init", "--as", "ana", "--passphrase-file", str(passphrase_file), umask=umask)
    gate(root, "kill", umask=umask)

    assert done.returncode == 0, done.stderr
    wrong = [str(path) for path in (root / "gate").rglob("*") if path.stat().st_mode & 0o077]
    assert wrong == []
    assert root.stat().st_mode & 0o077 == 0


async def test_c04_gate_folder_open_to_others_stops_the_gate(house: House) -> None:
    house.gate.home.gate.chmod(0o755)

    done = gate(house.root, "status")
    house.gate.home.gate.chmod(0o700)

    assert done.returncode == 2
    assert b"chmod" in done.stderr


def test_c08_dispatcher_gets_no_interpreter_or_loader_settings() -> None:
    bad = {"PYTHONPATH": "/x", "PYTHONSTARTUP": "/x", "LD_PRELOAD": "/x.so", "PYTHONHOME": "/x", "BASH_ENV": "/x"}
    env = {**bad, "PATH": "/bin", "OPSPILOT_GATE_TOKEN": "t", "ANTHROPIC_API_KEY": "k", "OPSPILOT_HOME": "/h"}

    with_secrets = running.clean_environment(env, with_secrets=True)
    console = running.clean_environment(env, with_secrets=False)

    assert with_secrets == {"PATH": "/bin", "OPSPILOT_GATE_TOKEN": "t"}
    assert console == {"PATH": "/bin"}


async def test_c08_planted_modules_do_not_run_in_the_dispatcher(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted, proof = tmp_path / "planted", tmp_path / "proof"
    planted.mkdir()
    evil = f"open({str(proof)!r}, 'w').write('ran')\n"
    for name in ("sitecustomize.py", "usercustomize.py", "smtplib.py", "json.py"):
        (planted / name).write_text(evil)
        (house.gate.home.gate / name).write_text(evil)
    monkeypatch.setenv("PYTHONPATH", str(planted))

    child = running.start("opspilot_mcp.gate.running", [str(house.root)], home=house.gate.home, with_secrets=True)
    await _beats(house)
    dumpable = Path(f"/proc/{child.pid}/environ").stat().st_uid if sys.platform == "linux" else 0
    child.send_signal(signal.SIGTERM)

    assert child.wait(timeout=20) == 0
    assert dumpable == 0  # a process that may not be read belongs to root in /proc
    assert not proof.exists()


async def _beats(house: House) -> None:
    """Wait for the dispatcher's heartbeat."""
    deadline = time.monotonic() + 30
    while not (await house.desk.read(proposals.gate_state, now=clock.now_ms())).running:
        assert time.monotonic() < deadline, "the dispatcher did not start"
        time.sleep(0.2)  # noqa: ASYNC251 - another process is waited for


async def test_gate_run_sends_what_was_signed_and_stops_on_a_signal(house: House, passphrase_file: Path) -> None:
    message_id = await _proposed(house)
    gate(house.root, "approve", message_id, "--as", "ana", "--passphrase-file", str(passphrase_file))
    env = {**os.environ, "OPSPILOT_HOME": str(house.root)}
    run = subprocess.Popen([*RUN, "run", "--no-console"], cwd=REPO, env=env)  # noqa: ASYNC220

    await _beats(house)
    deadline = time.monotonic() + 20
    while not house.sent() and time.monotonic() < deadline:
        time.sleep(0.2)  # noqa: ASYNC251
    run.terminate()

    assert run.wait(timeout=20) == 0
    assert len(house.sent()) == 1


AGENT, GATE_USER = 65_533, 65_532


def _as_agent(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        arguments, user=AGENT, group=AGENT, extra_groups=[], capture_output=True, cwd="/", timeout=30, check=False
    )


async def test_c01_agents_user_reaches_nothing_of_the_gate_at_l1(house: House) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to act as two users")
    home = Path(tempfile.mkdtemp(prefix="opspilot-c01-")) / "home"
    shutil.copytree(house.root, home)
    home.parent.chmod(0o755)
    home.chmod(0o2770)
    os.chown(home, GATE_USER, AGENT)
    for path in [home / "gate", *(home / "gate").rglob("*")]:
        os.chown(path, GATE_USER, GATE_USER)
    files = [path for path in (home / "gate").rglob("*") if path.is_file()]

    try:
        sleeper = subprocess.Popen(["sleep", "30"], user=GATE_USER, group=GATE_USER)  # noqa: ASYNC220
        read = [_as_agent("cat", str(path)).returncode for path in files]
        listed = _as_agent("ls", str(home / "gate")).returncode
        memory = [_as_agent("head", "-c1", f"/proc/{sleeper.pid}/{name}").returncode for name in ("mem", "environ")]
        sleeper.kill()
    finally:
        shutil.rmtree(home.parent)

    assert len(files) >= 6
    assert 0 not in [*read, listed, *memory]


def test_every_command_is_in_the_guide() -> None:
    guide = (REPO / "docs" / "gate.md").read_text()
    commands = [name for name in app if not name.startswith("-")]

    missing = [name for name in commands if f"gate {name}" not in guide]

    assert missing == []
