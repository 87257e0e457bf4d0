"""`backup` and `restore`: what a copy holds, what is refused, and that a restored gate sends nothing by itself."""

import hashlib
import json
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from opspilot_mcp import cli
from opspilot_mcp.gate.service import Gate
from opspilot_mcp.store import audit
from tests.gate.conftest import NOON, House, house, template
from tests.tools.wire import environment

__all__ = ["house", "template"]  # fixtures

Run = Callable[..., int]
Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture
def run() -> Run:
    def command(*argv: str | Path) -> int:
        return cli.run([str(word) for word in argv])

    return command


@pytest.fixture
async def copy(house: House, run: Run, tmp_path: Path) -> Path:
    """A backup of a home where one message waits and one is signed."""
    await house.page()
    await house.approve(await house.page(key="inc-2"))
    (house.root / "policy.toml").write_text("[desk]\n")
    (house.root / "runbooks").mkdir()
    (house.root / "runbooks" / "disk.md").write_text("# Disk\n")
    assert run("backup", tmp_path / "copy", "--home", house.root) == 0
    return tmp_path / "copy"


@pytest.fixture
def old(copy: Path, house: House, tmp_path: Path) -> Path:
    """Another home that holds something, and that nobody has open."""
    assert copy.exists()
    return Path(shutil.copytree(house.root, tmp_path / "old"))


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def fingerprint(folder: Path) -> dict[str, str]:
    """Return the digest of every file below a folder; locks and journals come and go."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in (".lock", "-journal")]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not path.name.endswith("-journal")
    }


def sql(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        return raw.execute(statement).fetchall()


def edit(folder: Path, change: Edit) -> None:
    """Change the manifest of a backup."""
    path = folder / "manifest.json"
    found = json.loads(path.read_bytes())
    change(found)
    path.write_text(json.dumps(found))


# -- what a backup is --------------------------------------------------------------------------------------------------


def test_a_backup_holds_what_a_home_needs_and_lists_it(copy: Path) -> None:
    listed = json.loads((copy / "manifest.json").read_bytes())

    names = {entry["path"] for entry in listed["files"]}
    assert names == set(fingerprint(copy)) - {"manifest.json"}
    assert names >= {"desk.db", "policy.toml", "runbooks/disk.md", "gate/gate.db", "gate/gate.toml"}
    assert names >= {"gate/approvers/root.json", "gate/approvers/ana.json", "gate/checkpoint.key"}
    assert (listed["desk"]["rows"]["proposals"], listed["gate"]["rows"]["messages"]) == (2, 2)


async def test_c04_a_backup_is_private_whatever_the_umask(house: House, run: Run, tmp_path: Path) -> None:
    (house.root / "runbooks").mkdir()
    (house.root / "runbooks" / "disk.md").write_text("# Disk\n")
    before = os.umask(0)
    try:
        run("backup", tmp_path / "copy", "--home", house.root)
        run("restore", tmp_path / "copy", "--home", tmp_path / "new")
    finally:
        os.umask(before)

    for root in (tmp_path / "copy", tmp_path / "new"):
        modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in (root, *root.rglob("*"))}
        assert modes == {(True, 0o700), (False, 0o600)}


async def test_channel_secrets_and_links_stay_behind_and_are_named(
    house: House, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (house.root / "gate" / "mail.secret").write_text("hunter2")
    (house.root / "gate" / "ca.pem").write_text("a certificate")
    (house.root / "macros").mkdir()
    (house.root / "macros" / "link.md").symlink_to(house.root / "gate" / "checkpoint.key")
    await house.settings('[channels.replies]\nkind = "smtp"\nhost = "h"\nca_file = "ca.pem"\n')

    code = run("backup", tmp_path / "copy", "--home", house.root, "--json")

    assert (code, told(capsys)["left_out"]) == (0, ["gate/mail.secret", "macros/link.md"])
    assert "gate/ca.pem" in fingerprint(tmp_path / "copy")
    assert b"hunter2" not in b"".join(path.read_bytes() for path in (tmp_path / "copy").rglob("*") if path.is_file())


async def test_the_gate_in_a_backup_has_no_power_to_send(copy: Path) -> None:
    states = sql(copy / "gate" / "gate.db", "SELECT proposal, state FROM messages ORDER BY proposal")
    signatures = sql(copy / "gate" / "gate.db", "SELECT state FROM approvals")
    [why] = sql(copy / "gate" / "gate.db", "SELECT quarantine FROM gate_state")

    assert states == [(1, "held"), (2, "uncertain")]
    assert (signatures, "this is the backup of" in why[0]) == ([("void",)], True)


def test_the_home_itself_is_not_touched_by_a_backup(copy: Path, house: House) -> None:
    states = sql(house.gate.home.gate_db, "SELECT proposal, state FROM messages ORDER BY proposal")

    assert copy.exists()
    assert states == [(1, "pending"), (2, "approved")]
    assert sql(house.gate.home.gate_db, "SELECT quarantine FROM gate_state") == [(None,)]


async def test_the_desk_alone_is_copied_when_asked(
    house: House, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run("backup", tmp_path / "copy", "--home", house.root, "--desk-only", "--json")

    assert (code, told(capsys)["no_gate"]) == (0, "left out, as asked")
    assert set(fingerprint(tmp_path / "copy")) == {"desk.db", "manifest.json"}


async def test_the_gate_of_another_user_is_left_out_and_the_exit_code_says_so(house: House) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to act as another user")
    with tempfile.TemporaryDirectory(prefix="opspilot-test-") as name:  # pytest's own folders are closed to others
        place = Path(name)
        home = Path(shutil.copytree(house.root, place / "home"))
        for path in (place, home, home / "desk.db", home / "desk.db.lock"):
            os.chown(path, 65_533, 65_533)

        done = as_user(65_533, "backup", str(place / "copy"), "--home", str(home))

        assert (done.returncode, "NO GATE: it belongs to another user" in done.stdout) == (1, True)
        assert set(fingerprint(place / "copy")) == {"desk.db", "manifest.json"}


def as_user(uid: int, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user without any right of root, once root has run it into another folder: what a command
    loads on its way may lie where nobody else can read it."""
    code = (
        "import contextlib, io, os, sys; from opspilot_mcp import cli\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    cli.run([sys.argv[1], sys.argv[2] + '-of-root', *sys.argv[3:]])\n"
        f"os.setgroups([]); os.setresgid({uid}, {uid}, {uid}); os.setresuid({uid}, {uid}, {uid})\n"
        "sys.exit(cli.run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *argv]
    return subprocess.run(
        command, env=environment(Path(argv[-1])), capture_output=True, text=True, timeout=60, check=False
    )


# -- backups that are refused ------------------------------------------------------------------------------------------


async def test_a_backup_overwrites_nothing(house: House, run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")

    for name in ("empty", "file", "nosuch/copy", "home/copy", "home/gate/copy"):
        assert run("backup", tmp_path / name, "--home", house.root) == 2

    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "home"]
    assert run("backup", tmp_path / "copy", "--home", tmp_path / "empty") == 2


async def test_a_home_with_a_bad_record_is_not_backed_up(
    house: House, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        await house.desk.write(audit.record, "agent:x", "ticket.created", f"T-{number}", now=NOON)
    for statement in ("DROP TRIGGER audit_no_update", "UPDATE audit SET actor = 'eve' WHERE seq = 2"):
        sql(house.root / "desk.db", statement)

    code = run("backup", tmp_path / "copy", "--home", house.root)

    assert (code, "desk's record is bad at row 2" in capsys.readouterr().err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize("limit", [1_000, 100_000, 300_000])
async def test_a_backup_that_runs_out_of_room_leaves_nothing(house: House, tmp_path: Path, limit: int) -> None:
    done = with_files_up_to(limit, "backup", str(tmp_path / "copy"), "--home", str(house.root))

    assert (done.returncode, done.stderr.count("\n"), "Traceback" in done.stderr) == (2, 1, False)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def with_files_up_to(limit: int, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command that cannot write a file past `limit` bytes, as on a disk that fills up."""
    return subprocess.run(
        [sys.executable, "-m", "opspilot_mcp", *argv],
        env={**environment(Path(argv[-1])), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# -- restoring ---------------------------------------------------------------------------------------------------------


def test_a_restored_home_is_the_one_that_was_backed_up(copy: Path, run: Run, tmp_path: Path) -> None:
    code = run("restore", copy, "--home", tmp_path / "new")

    before, after = fingerprint(copy), fingerprint(tmp_path / "new")
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert code == 0
    assert changed == {"manifest.json", "desk.db", "gate/gate.db", "gate/checkpoints/log.jsonl"}
    assert sql(tmp_path / "new" / "desk.db", "SELECT action FROM audit ORDER BY seq DESC LIMIT 1") == [
        ("desk.restored",)
    ]
    assert run("audit", "verify", "--home", tmp_path / "new") == 0


def test_a_home_that_is_not_empty_needs_replace_and_is_kept_aside(
    copy: Path, old: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fingerprint(old)

    refused = run("restore", copy, "--home", old)
    untouched = fingerprint(old) == before
    capsys.readouterr()
    code = run("restore", copy, "--home", old, "--replace", "--json")

    aside = Path(told(capsys)["kept_aside"])
    assert (refused, untouched, code) == (2, True, 0)
    assert fingerprint(aside) == before
    assert sorted(path.name for path in old.parent.iterdir()) == ["copy", "home", "old", aside.name]


async def test_a_home_in_use_is_not_replaced(
    copy: Path, old: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = await Gate.open(old, now=NOON)

    code = run("restore", copy, "--home", old, "--replace")

    assert (code, "Stop the gate and every MCP client" in capsys.readouterr().err) == (2, True)
    await gate.close()
    assert run("restore", copy, "--home", old, "--replace") == 0


def test_a_home_whose_databases_are_damaged_is_replaced(copy: Path, old: Path, run: Run) -> None:
    for name in ("desk.db", "gate/gate.db"):
        (old / name).write_bytes(b"not a database, " * 300)

    code = run("restore", copy, "--home", old, "--replace")

    assert (code, run("audit", "verify", "--home", old)) == (0, 0)


async def test_the_desk_alone_does_not_go_under_a_gate(old: Path, run: Run, tmp_path: Path) -> None:
    run("backup", tmp_path / "desk", "--home", old, "--desk-only")

    refused = run("restore", tmp_path / "desk", "--home", old, "--replace")

    assert refused == 2
    assert run("restore", tmp_path / "desk", "--home", tmp_path / "new") == 0
    assert sorted(fingerprint(tmp_path / "new")) == ["desk.db", "policy.toml", "runbooks/disk.md"]


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a changed byte in desk.db": (lambda copy: _flip(copy / "desk.db"), "was changed"),
    "a changed byte in a key": (lambda copy: _flip(copy / "gate" / "checkpoint.key"), "was changed"),
    "a missing file": (lambda copy: (copy / "gate" / "gate.toml").unlink(), "lacks 'gate/gate.toml'"),
    "an extra file": (lambda copy: (copy / "gate" / "approvers" / "eve.json").write_text("{}"), "not in its manifest"),
    "an extra file of no home": (lambda copy: (copy / "evil.sh").write_text("x"), "not in its manifest"),
    "a link for a file": (lambda copy: _link(copy / "policy.toml"), "is a link"),
    "a link for a folder": (lambda copy: _link(copy / "runbooks"), "is a link"),
    "a pipe": (lambda copy: os.mkfifo(copy / "gate" / "pipe"), "is a link or a device"),
    "no manifest": (lambda copy: (copy / "manifest.json").unlink(), "is not a backup"),
    "a linked manifest": (lambda copy: _link(copy / "manifest.json"), "is not a backup"),
    "no JSON": (lambda copy: (copy / "manifest.json").write_text("{"), "not a manifest"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_backup_is_refused_and_changes_nothing(
    copy: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    harm, why = DAMAGE[damage]
    harm(copy)

    code = run("restore", copy, "--home", tmp_path / "new")

    assert (code, why in capsys.readouterr().err) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "home"]


def _first_path(path: str) -> Edit:
    return lambda found: found["files"][0].update(path=path)


TRICKS: dict[str, tuple[Edit, str]] = {
    "..": (_first_path("../evil"), "no backup holds"),
    ".. below": (_first_path("gate/../../evil"), "no backup holds"),
    "absolute": (_first_path("/etc/cron.d/evil"), "no backup holds"),
    "backslash": (_first_path("gate\\evil"), "no backup holds"),
    "NUL": (_first_path("gate/\0evil"), "no backup holds"),
    "dot": (_first_path("./desk.db"), "no backup holds"),
    "empty part": (_first_path("gate//gate.db"), "no backup holds"),
    "another place": (_first_path("bin/sh"), "no backup holds"),
    "the manifest": (_first_path("manifest.json"), "no backup holds"),
    "twice": (lambda found: found["files"].append(found["files"][0]), "twice"),
    "newer desk": (lambda found: found["desk"].update(schema="9998"), "Install the newest"),
    "newer gate": (lambda found: found["gate"].update(schema="9999"), "Install the newest"),
    "older desk": (lambda found: found["desk"].update(schema="0000"), "Restore it with opspilot-mcp"),
    "newer format": (lambda found: found.update(format="opspilot-mcp backup 2"), "install the newest"),
    "another count": (lambda found: found["desk"]["rows"].update(tickets=7), "not what its manifest counts"),
    "another head": (lambda found: found["gate"].update(audit_seq=1), "not what its manifest counts"),
    "another gate": (lambda found: found.update(instance="0" * 32), "not the one its manifest names"),
    "unknown key": (lambda found: found.update(run="sh"), "not a manifest of ours"),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_a_manifest_that_lies_is_refused_and_changes_nothing(
    copy: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], trick: str
) -> None:
    change, why = TRICKS[trick]
    edit(copy, change)

    code = run("restore", copy, "--home", tmp_path / "new")

    assert (code, why in capsys.readouterr().err) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "home"]


def test_a_backup_whose_record_was_changed_with_its_manifest_is_refused(
    copy: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for statement in ("DROP TRIGGER audit_no_update", "UPDATE audit SET actor = 'eve' WHERE seq = 2"):
        sql(copy / "gate" / "gate.db", statement)
    path = copy / "gate" / "gate.db"
    entry = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
    edit(copy, lambda found: [one.update(entry) for one in found["files"] if one["path"] == "gate/gate.db"])

    code = run("restore", copy, "--home", tmp_path / "new")

    assert (code, "gate's record is bad at row 2" in capsys.readouterr().err) == (2, True)
    assert not (tmp_path / "new").exists()
