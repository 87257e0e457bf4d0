"""ASSURANCE group C: what another program on the same machine can do. Rows that need other users need root.

No account is made: an agent's and a gate's user are numbers. The gate's processes keep the right to read this
checkout (they run a Python another user may not reach); the agent's have no right at all.
"""

import json
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, update

from opspilot_mcp import clock
from opspilot_mcp.gate import running
from opspilot_mcp.gate.deskside import DeskChanged
from opspilot_mcp.gate.home import Home
from opspilot_mcp.store.schema import proposals
from tests.assurance.conftest import agent_of, ask
from tests.gate.conftest import MINUTE, NOON, PASSPHRASE, House

REPO = Path(__file__).parents[2]
AGENT, GATE, SHARED = 64_501, 64_502, 64_500
PROGRAM = [sys.executable, "-c", "import sys; from opspilot_mcp.__main__ import main; sys.exit(main())"]

# Runs as root until everything is imported, then as the agent: only numbers and paths go in, only verdicts come out.
PROBE = """
import http.client, json, os, sys
uid, gid, port, paths, home = json.loads(sys.argv[1])
def ask(method, path, **more):
    web = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    web.request(method, path, **more)
    return web.getresponse().status
if port:
    ask("GET", "/")  # whatever Python loads late is loaded now
os.setgroups([]); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, uid)
said = {}
def attempt(name, work):
    try:
        work(); said[name] = "open"
    except OSError as error:
        said[name] = type(error).__name__
for path in paths:
    attempt("read " + path, lambda: open(path, "rb").read(16))
attempt("write", lambda: open(home + "/gate/gate.toml", "a"))
attempt("list", lambda: os.listdir(home + "/gate"))
attempt("rename", lambda: os.rename(home + "/gate", home + "/gate.old"))
attempt("desk", lambda: open(home + "/desk.db", "rb").read(16))
if port:
    said["console"] = ask("GET", "/")
    said["kill"] = ask("POST", "/gate/kill", body="a=b", headers={
        "Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/x-www-form-urlencoded"})
print(json.dumps(said))
"""


def as_user(uid: int, command: list[str]) -> list[str]:
    """Return a command that runs as `uid` in the shared group, with the right to read files of ours and no other."""
    return [
        "setpriv", f"--reuid={uid}", f"--regid={SHARED}", "--clear-groups", "--inh-caps=-all,+dac_read_search",
        "--ambient-caps=-all,+dac_read_search", *command,
    ]  # fmt: skip


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPSPILOT_")}
    return {**kept, "OPSPILOT_HOME": str(home), "USER": "somebody", "PYTHONDONTWRITEBYTECODE": "1", **more}


def opspilot(
    home: Path, *arguments: str, uid: int = 0, umask: int = 0o022, typed: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run a command of ours to its end, without a terminal."""
    command = [*PROGRAM, *arguments]
    return subprocess.run(
        as_user(uid, command) if uid else command,
        cwd=REPO,
        env=environment(home),
        input=typed,
        capture_output=True,
        timeout=60,
        umask=umask,
        start_new_session=True,
        check=False,
    )


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def shared_home(template: Path) -> Iterator[Path]:
    """A level L1 home: the desk is the agent's, the gate's folder the gate's, the home shared and sticky."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv to act as other users")
    with tempfile.TemporaryDirectory() as outer:
        Path(outer).chmod(0o755)
        home = Path(shutil.copytree(template, Path(outer) / "home"))
        for path in [home, *home.rglob("*")]:
            os.chown(path, GATE, SHARED)
        home.chmod(0o3770)
        for path in home.glob("desk.db*"):
            os.chown(path, AGENT, SHARED)
            path.chmod(0o660)
        yield home


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def probe(uid: int, gid: int, port: int, paths: list[str], home: Path) -> dict[str, object]:
    asked = json.dumps([uid, gid, port, paths, str(home)])
    done = subprocess.run([sys.executable, "-c", PROBE, asked], capture_output=True, text=True, timeout=60, check=True)
    said: dict[str, object] = json.loads(done.stdout)
    return said


@pytest.fixture
def running_gate(shared_home: Path) -> Iterator[tuple[int, list[int]]]:
    """`gate run` as the gate's user; yields the console's port and the processes' numbers."""
    port = free_port()
    command = as_user(GATE, [*PROGRAM, "gate", "run", "--port", str(port)])
    process = subprocess.Popen(command, cwd=REPO, env=environment(shared_home), stdout=subprocess.PIPE)
    try:
        yield port, _processes(process.pid, port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def _processes(supervisor: int, port: int) -> list[int]:
    """Wait until the console answers; returns supervisor and children."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.2)
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [supervisor, *(int(one) for one in children)]


def test_c01_agents_user_gets_nothing_of_the_gate(shared_home: Path, running_gate: tuple[int, list[int]]) -> None:
    port, processes = running_gate
    files = [str(path) for path in (shared_home / "gate").rglob("*") if path.is_file()]
    memory = [f"/proc/{pid}/{name}" for pid in processes for name in ("mem", "environ")]

    said = probe(AGENT, SHARED, port, [*files, *memory], shared_home)

    assert len(processes) == 3
    assert len(files) >= 5
    assert {said[f"read {path}"] for path in [*files, *memory]} == {"PermissionError"}
    assert (said["write"], said["list"], said["rename"]) == ("PermissionError",) * 3
    assert (said["console"], said["kill"], said["desk"]) == (401, 401, "open")


def test_c01_stranger_gets_not_even_the_desk(shared_home: Path) -> None:
    said = probe(64_999, 64_999, 0, [str(shared_home / "gate" / "gate.db")], shared_home)

    assert set(said.values()) == {"PermissionError"}


def test_c01_level_one_is_said_by_the_gate(shared_home: Path) -> None:
    done = opspilot(shared_home, "gate", "status", uid=GATE)

    assert b"Isolation L1" in done.stdout


async def test_c02_one_user_is_said_to_be_level_zero(house: House) -> None:
    said = [opspilot(house.root, *command).stdout.decode() for command in (("gate", "status"), ("doctor",))]

    for text in said:
        plain = " ".join(text.split()).lower()
        assert "l0" in plain
        assert "with a shell" in plain


async def test_c03_rows_forged_at_the_desk_send_nothing(house: House) -> None:
    waiting, filed = await house.page(), await house.page(key="inc-2")
    await house.approve(filed)
    row = {
        "kind": "page", "subject": "INC-1", "subject_version": 1, "channel": "oncall", "title": "t", "body": "b",
        "principal": "person:ana", "asked": "send", "created_ms": NOON, "updated_ms": NOON,
    }  # fmt: skip

    for outcome in ("approved", "sending", "sent", "retry", None):
        forged = {**row, "outcome": outcome, "outcome_detail": "approved by ana"}
        await house.desk.write(Connection.execute, insert(proposals).values(forged))
    await house.desk.write(lambda conn: conn.execute(update(proposals).values(outcome="approved", body="pay eve")))
    await house.tick(NOON + MINUTE)

    assert house.sent() == {}
    assert await house.state(waiting) == "void"


async def test_c03_code_inside_the_desks_file_does_not_run(house: House) -> None:
    message_id = await house.page()
    raw = sqlite3.connect(house.root / "desk.db")
    raw.execute("CREATE TRIGGER t AFTER UPDATE ON proposals BEGIN UPDATE proposals SET asked = 'send', body = 'x'; END")
    raw.commit()
    raw.close()

    await house.approve(message_id)
    with pytest.raises(DeskChanged, match="the trigger 't'"):
        await house.tick(NOON + MINUTE)

    assert (await house.told(message_id)).body == "Primary database does not answer."


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_c04_files_are_private_whatever_the_umask(tmp_path: Path, passphrase: Path, umask: int) -> None:
    home = tmp_path / "fresh"
    init = opspilot(home, "gate", "init", "--as", "ana", "--passphrase-file", str(passphrase), umask=umask)
    made = opspilot(home, "import", "tickets", str(REPO / "data" / "tickets.jsonl"), umask=umask)
    opspilot(home, "gate", "tick", umask=umask)

    modes = {str(path.relative_to(home)): stat.S_IMODE(path.lstat().st_mode) for path in [home, *home.rglob("*")]}

    assert (init.returncode, made.returncode) == (0, 0), init.stderr + made.stderr
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}
    assert {"desk.db", "gate/gate.db", "gate/checkpoint.key"} <= set(modes)


def test_c04_level_one_shares_the_desk_and_nothing_else(shared_home: Path) -> None:
    opspilot(shared_home, "import", "tickets", str(REPO / "data" / "tickets.jsonl"), uid=AGENT, umask=0)
    opspilot(shared_home, "gate", "tick", uid=GATE, umask=0)

    opened = {
        str(path.relative_to(shared_home)): oct(stat.S_IMODE(path.lstat().st_mode))
        for path in shared_home.rglob("*")
        if stat.S_IMODE(path.lstat().st_mode) & 0o077
    }

    assert {name: mode for name, mode in opened.items() if not name.startswith("desk.db")} == {}
    assert set(opened.values()) == {"0o660"}


@pytest.mark.parametrize(
    "command",
    [
        "yes | {approve}",
        "yes '' | {approve}",
        "printf '%s\\n' '{passphrase}' | {approve}",
        "yes | head -n 40 | script -qec '{approve}' /dev/null",
        "script -qec '{approve} --passphrase {passphrase}' /dev/null < /dev/null",
    ],
)
async def test_c07_script_without_a_persons_passphrase_does_not_approve(house: House, command: str) -> None:
    if "script " in command and not shutil.which("script"):
        pytest.skip("needs script(1)")
    message_id = await house.page()
    approve = " ".join([sys.executable, "-m", "opspilot_mcp", "gate", "approve", message_id, "--as", "ana"])
    line = command.format(approve=approve, passphrase=PASSPHRASE.replace(" ", "-"))

    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs
        ["timeout", "40", "bash", "-o", "pipefail", "-c", line],
        cwd=REPO,
        env=environment(house.root),
        capture_output=True,
        start_new_session=True,
        check=False,
    )
    await house.tick(NOON + MINUTE)

    assert (done.returncode != 0, await house.state(message_id), house.sent()) == (True, "pending", {})


async def test_c08_interpreter_settings_do_not_reach_the_dispatcher(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now_ms()  # the dispatcher's own clock is the real one
    await house.approve(await house.page(now=now), now=now)
    trap, mark = tmp_path / "trap", tmp_path / "mark"
    trap.mkdir()
    for name in ("sitecustomize.py", "usercustomize.py", "smtplib.py", "sqlalchemy.py"):
        (trap / name).write_text(f"open({str(mark)!r}, 'a').write({name!r})\n")
    for name in ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONUSERBASE", "LD_PRELOAD", "PYTHONINSPECT", "PYTHONHOME"):
        monkeypatch.setenv(name, str(trap))
    monkeypatch.chdir(trap)

    child = running.start("opspilot_mcp.gate.running", [str(house.root)], home=Home(house.root), with_secrets=True)
    try:
        for _ in range(100):
            if house.sent():
                break
            time.sleep(0.2)  # noqa: ASYNC251 - nothing else runs
        given = Path(f"/proc/{child.pid}/environ").read_bytes()
        where = Path(f"/proc/{child.pid}/cwd").resolve()
    finally:
        child.terminate()
        child.wait(20)

    assert len(house.sent()) == 1
    assert not mark.exists()
    assert (b"PYTHON" in given, b"LD_PRELOAD" in given, where) == (False, False, house.gate.home.gate)


async def test_c08_a_secret_of_a_channel_reaches_the_dispatcher_only(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = {"PATH": "/bin", "OPSPILOT_GATE_SLACK": "https://x", "ANTHROPIC_API_KEY": "k", "LD_LIBRARY_PATH": "/x"}

    dispatcher = running.clean_environment(env, with_secrets=True)
    console = running.clean_environment(env, with_secrets=False)
    async with agent_of(house) as agent:
        told = str(await ask(agent, "list_approvals"))

    assert dispatcher == {"PATH": "/bin", "OPSPILOT_GATE_SLACK": "https://x"}
    assert console == {"PATH": "/bin"}
    assert "https://x" not in told
