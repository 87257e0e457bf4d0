"""Break the gate on purpose, one place at a time, and show that a test goes red each time.

python -m tests.gate.mutations            # all; exit code 1 when a break goes unnoticed
python -m tests.gate.mutations nonce      # those whose name holds "nonce"
"""

# ruff: noqa: E501

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).parents[2]
GATE = "opspilot_mcp/gate"


@dataclass(frozen=True)
class Break:
    """One change to one file, and the tests that must see it."""

    name: str
    file: str
    old: str
    new: str
    tests: str


BREAKS = (
    Break(
        "signature not verified",
        f"{GATE}/signatures.py",
        "if not keys.verifies(approver.public_key, PURPOSE, payload_text",
        "if not keys.verifies and (approver.public_key, PURPOSE, payload_text",
        "b17",
    ),
    Break("nonce not checked", f"{GATE}/signatures.py", "if _spent_elsewhere(", "if False and _spent_elsewhere(", "b17"),
    Break(
        "hash of the column instead of the bytes",
        f"{GATE}/signatures.py",
        '"sha256": canonical.sha256(content),',
        '"sha256": json.loads("null"),',
        "walk",
    ),
    Break(
        "instance not bound",
        f"{GATE}/signatures.py",
        '        "instance": authority.root.instance,\n        "message": message.id,\n        "version": message.version,\n'
        '        "sha256": canonical.sha256(content)',
        '        "message": message.id,\n        "version": message.version,\n        "sha256": canonical.sha256(content)',
        "b18",
    ),
    Break(
        "message not bound",
        f"{GATE}/signatures.py",
        '        "message": message.id,\n        "version": message.version,\n        "sha256": canonical.sha256(content)',
        '        "version": message.version',
        "b17",
    ),
    Break(
        "expiry not checked",
        f"{GATE}/signatures.py",
        '<= now < int(str(payload["expires_ms"]))',
        '<= now',
        "b05_the_claim or f04",
    ),
    Break("clock believed when set back", f"{GATE}/state.py", "return max(now, self.high_water_ms)", "return now", "b05_the_claim or d10_lock"),
    Break("revoked key accepted", f"{GATE}/signatures.py", "if not approver.is_active:", "if False:", "b12"),
    Break(
        "any key row is an approver",
        f"{GATE}/approvers.py",
        "if not keys.verifies(voucher, PURPOSE, payload",
        "if not voucher and keys.verifies(voucher, PURPOSE, payload",
        "b17_key_row or stranger or renamed",
    ),
    Break(
        "any voucher is good",
        f"{GATE}/approvers.py",
        "if voucher is None or row",
        "voucher = voucher or public\n    if voucher is None or row",
        "b17_key_row or stranger or renamed",
    ),
    Break("kill not in the claim", f"{GATE}/dispatch.py", "if standing.killed_by or standing.quarantine or not", "if not", "kill_holds"),
    Break("no cap", f"{GATE}/dispatch.py", "return bool(tries >= authority", "return bool(tries < 0 and authority", "cap_lets"),
    Break("undo window ignored", f"{GATE}/dispatch.py", "and (message.not_before_ms or 0) <= now", "", "b10_the_claim"),
    Break("undo window ignored when choosing", f"{GATE}/decisions.py", "now + undo_ms if undo_ms else None", "now", "b10"),
    Break("ticket not looked at again", f"{GATE}/dispatch.py", "if why := why_void(message, look):", "if (why := why_void(message, look)) and False:", "b01"),
    Break("desk row's change ignored", f"{GATE}/dispatch.py", "if look.row.sha256 != message.source_sha256:", "if False:", "b01"),
    Break("one person counts twice", f"{GATE}/signatures.py", 'good[str(payload["approver"])] = payload', 'good[str(payload["nonce"])] = payload', "b13"),
    Break("two people not needed", f"{GATE}/signatures.py", "return TWO if message.risk", "return 1 if message.risk", "b13"),
    Break("proposer may sign", f"{GATE}/signatures.py", 'return "signed by whoever proposed it", {}', "pass", "b11"),
    Break("shown digest not compared", f"{GATE}/decisions.py", "if message.sha256 != shown_sha256:", "if False:", "not_shown"),
    Break("recipient not typed", f"{GATE}/decisions.py", "if (typed_recipient or \"\").strip() != message.recipient:", "if False:", "high_risk_solo"),
    Break("passphrase not asked again", f"{GATE}/decisions.py", "    if not fresh:", "    if False:", "high_risk_solo"),
    Break("secret may be signed", f"{GATE}/decisions.py", 'if message.risk == "blocked":', "if False:", "secret_blocks"),
    Break("doubt is retried", f"{GATE}/dispatch.py", "if failure.maybe_sent and not repeats:", "if False:", "doubtful"),
    Break("marked before it is sent", f"{GATE}/dispatch.py", 'state="sending", detail="", state_ms=now, fence=fence', 'state="sent", detail="", state_ms=now, fence=fence', "sleeping or late_sender or doubtful or f01_kill"),
    Break("lease ends in a resend", f"{GATE}/dispatch.py", 'to = "retry" if repeats else "uncertain"', 'to = "retry"', "late_sender or f01_kill"),
    Break("fence not checked", f"{GATE}/dispatch.py", ', messages.c.fence == claim.fence, messages.c.state == "sending")', ")", "late_sender"),
    Break("hold does not void", f"{GATE}/snapshots.py", 'if state not in ("sent", "uncertain"):', "if False:", "a11 or lifted"),
    Break("anybody may withdraw", f"{GATE}/taking.py", "if row.asked_by != row.principal:", "if False:", "another_agents_withdrawal"),
    Break("the signed may be withdrawn", f"{GATE}/taking.py", '    if is_decided:\n        return "held"', '    if False:\n        return "held"', "after_a_signature"),
    Break("dying children are started at once", f"{GATE}/running.py", "if now_s >= self.due_s:", "if now_s:", "ever_more_rarely or before_its_time"),
    Break("a trigger in the desk stops all", f"{GATE}/turns.py", "refused = [await gate.unless_refused(part(now=now)) for part in parts]", "refused = [await part(now=now) for part in parts]", "hears_later"),
    Break("large cells are read whole", f"{GATE}/deskside.py", "func.substr(column, 1, most + 1).label", "column.label", "many_large"),
    Break("a dripping server is never cut off", f"{GATE}/channels/deadline.py", "    timer.start()\n", "", "drips_is_cut_off"),
    Break("a swapped file goes unseen", f"{GATE}/service.py", "if file_id(self.home.gate_db) != self._file:", "if False:", "swapped_away"),
    Break("sends after the signature ended", f"{GATE}/dispatch.py", "min(claim.lease_until_ms - _LONGEST_SEND_MS, claim.expires_ms)", "claim.lease_until_ms - _LONGEST_SEND_MS", "slept_past_the_expiry"),
    Break("links past the list go unsaid", f"{GATE}/risks.py", "if len(found) == links.MAX_LINKS:", "if False:", "many_links_of_our_own"),
    Break("restore not noticed", f"{GATE}/service.py", "if known == last_hash:", "if True:", "restored"),
    Break("chain not compared with checkpoints", "opspilot_mcp/store/chain.py", "if self.held.get(expected, row[\"hash\"]) != row[\"hash\"]:", "if False:", "h02"),
    Break("lock-out off", f"{GATE}/approvers.py", "if now < row.locked_until_ms:", "if False:", "d10_five"),
    Break("private addresses allowed", f"{GATE}/channels/web.py", "not all(is_public(one) for one in addresses)", "False", "i10"),
    Break("Slack text not escaped", f"{GATE}/compose.py", '.replace("<", "&lt;")', "", "no_word"),
)  # fmt: skip


def goes_red(one: Break) -> bool:
    """Apply a break to a copy of the project and run its tests there."""
    with tempfile.TemporaryDirectory(prefix="opspilot-break-") as folder:
        copy = Path(folder)
        for name in ("opspilot_mcp", "tests"):
            shutil.copytree(REPO / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(REPO / "pyproject.toml", copy)
        path = copy / one.file
        text = path.read_text()
        if text.count(one.old) < 1:
            raise SystemExit(f"{one.name}: the code to break is not in {one.file} any more. Correct mutations.py.")
        path.write_text(text.replace(one.old, one.new))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/gate", "-k", one.tests]
        done = subprocess.run(command, cwd=copy, capture_output=True, check=False)
        if done.returncode not in (0, 1):
            raise SystemExit(f"{one.name}: pytest could not run. {done.stdout.decode()[-500:]}")
        return done.returncode == 1


def main(wanted: str) -> int:
    """Try every break whose name holds `wanted`; returns how many went unnoticed."""
    unnoticed = 0
    for one in BREAKS:
        if wanted in one.name:
            red = goes_red(one)
            unnoticed += not red
            sys.stdout.write(f"{'red  ' if red else 'GREEN'}  {one.name}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{unnoticed} breaks went unnoticed\n")
    return int(unnoticed > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
