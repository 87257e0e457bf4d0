"""More places where the gate is broken on purpose, and the tests of this folder that must see each, as pytest's -k.

python -m tests.gate.mutations            # all; exit code 1 when a break goes unnoticed
python -m tests.gate.mutations nonce      # those whose name holds "nonce"
"""

# ruff: noqa: E501

import sys
from collections.abc import Iterable

from tests import breaks
from tests.breaks import Break

BREAKS = (
    Break(
        "signature not verified",
        "gate/signatures.py",
        "if not keys.verifies(approver.public_key, PURPOSE, payload_text",
        "if not keys.verifies and (approver.public_key, PURPOSE, payload_text",
        "b17",
    ),
    Break("nonce not checked", "gate/signatures.py", "if _spent_elsewhere(", "if False and _spent_elsewhere(", "b17"),
    Break(
        "hash of the column instead of the bytes",
        "gate/signatures.py",
        '"sha256": canonical.sha256(content),',
        '"sha256": json.loads("null"),',
        "walk",
    ),
    Break(
        "instance not bound",
        "gate/signatures.py",
        '        "instance": authority.root.instance,\n        "message": message.id,\n        "version": message.version,\n'
        '        "sha256": canonical.sha256(content)',
        '        "message": message.id,\n        "version": message.version,\n        "sha256": canonical.sha256(content)',
        "b18",
    ),
    Break(
        "message not bound",
        "gate/signatures.py",
        '        "message": message.id,\n        "version": message.version,\n        "sha256": canonical.sha256(content)',
        '        "version": message.version',
        "b17",
    ),
    Break(
        "expiry not checked",
        "gate/signatures.py",
        '<= now < int(str(payload["expires_ms"]))',
        '<= now',
        "b05_the_claim or f04",
    ),
    Break("clock believed when set back", "gate/state.py", "return max(now, self.high_water_ms)", "return now", "b05_the_claim or d10_lock"),
    Break("revoked key accepted", "gate/signatures.py", "if not approver.is_active:", "if False:", "b12"),
    Break(
        "any key row is an approver",
        "gate/approvers.py",
        "if not keys.verifies(voucher, PURPOSE, payload",
        "if not voucher and keys.verifies(voucher, PURPOSE, payload",
        "b17_key_row or stranger or renamed",
    ),
    Break(
        "any voucher is good",
        "gate/approvers.py",
        "if voucher is None or row",
        "voucher = voucher or public\n    if voucher is None or row",
        "b17_key_row or stranger or renamed",
    ),
    Break("kill not in the claim", "gate/dispatch.py", "if standing.killed_by or standing.quarantine or not", "if not", "kill_holds"),
    Break("no cap", "gate/dispatch.py", "return bool(tries >= authority", "return bool(tries < 0 and authority", "cap_lets"),
    Break("undo window ignored", "gate/dispatch.py", "and (message.not_before_ms or 0) <= now", "", "b10_the_claim"),
    Break("undo window ignored when choosing", "gate/decisions.py", "now + undo_ms if undo_ms else None", "now", "b10"),
    Break("ticket not looked at again", "gate/dispatch.py", "if why := why_void(message, look):", "if (why := why_void(message, look)) and False:", "b01"),
    Break("desk row's change ignored", "gate/dispatch.py", "if look.row.sha256 != message.source_sha256:", "if False:", "b01"),
    Break("one person counts twice", "gate/signatures.py", 'good[str(payload["approver"])] = payload', 'good[str(payload["nonce"])] = payload', "b13"),
    Break("two people not needed", "gate/signatures.py", "return TWO if message.risk", "return 1 if message.risk", "b13"),
    Break("proposer may sign", "gate/signatures.py", 'return "signed by whoever proposed it", {}', "pass", "b11"),
    Break("shown digest not compared", "gate/decisions.py", "if message.sha256 != shown_sha256:", "if False:", "not_shown"),
    Break("recipient not typed", "gate/decisions.py", "if (typed_recipient or \"\").strip() != message.recipient:", "if False:", "high_risk_solo"),
    Break("passphrase not asked again", "gate/decisions.py", "    if not fresh:", "    if False:", "high_risk_solo"),
    Break("secret may be signed", "gate/decisions.py", 'if message.risk == "blocked":', "if False:", "secret_blocks"),
    Break("doubt is retried", "gate/dispatch.py", "if failure.maybe_sent and not repeats:", "if False:", "doubtful"),
    Break("marked before it is sent", "gate/dispatch.py", 'state="sending", detail="", state_ms=now, fence=fence', 'state="sent", detail="", state_ms=now, fence=fence', "sleeping or late_sender or doubtful or f01_kill"),
    Break("lease ends in a resend", "gate/dispatch.py", 'to = "retry" if repeats else "uncertain"', 'to = "retry"', "late_sender or f01_kill"),
    Break("fence not checked", "gate/dispatch.py", ', messages.c.fence == claim.fence, messages.c.state == "sending")', ")", "late_sender"),
    Break("hold does not void", "gate/snapshots.py", 'if state not in ("sent", "uncertain"):', "if False:", "a11 or lifted"),
    Break("anybody may withdraw", "gate/taking.py", "if row.asked_by != row.principal:", "if False:", "another_agents_withdrawal"),
    Break("the signed may be withdrawn", "gate/taking.py", '    if is_decided:\n        return "held"', '    if False:\n        return "held"', "after_a_signature"),
    Break("dying children are started at once", "gate/running.py", "if now_s >= self.due_s:", "if now_s:", "ever_more_rarely or before_its_time"),
    Break("a trigger in the desk stops all", "gate/turns.py", "refused = [await gate.unless_refused(part(now=now)) for part in parts]", "refused = [await part(now=now) for part in parts]", "hears_later"),
    Break("large cells are read whole", "gate/deskside.py", "func.substr(column, 1, most + 1).label", "column.label", "many_large"),
    Break("a dripping server is never cut off", "gate/channels/deadline.py", "    timer.start()\n", "", "drips_is_cut_off"),
    Break("a swapped file goes unseen", "gate/service.py", "if file_id(self.home.gate_db) != self._file:", "if False:", "swapped_away"),
    Break("sends after the signature ended", "gate/dispatch.py", "min(claim.lease_until_ms - _LONGEST_SEND_MS, claim.expires_ms)", "claim.lease_until_ms - _LONGEST_SEND_MS", "slept_past_the_expiry"),
    Break("links past the list go unsaid", "gate/risks.py", "if len(found) == links.MAX_LINKS:", "if False:", "many_links_of_our_own"),
    Break("restore not noticed", "gate/service.py", "if known == last_hash:", "if True:", "restored"),
    Break("chain not compared with checkpoints", "store/chain.py", "if self.held.get(expected, row[\"hash\"]) != row[\"hash\"]:", "if False:", "h02"),
    Break("lock-out off", "gate/approvers.py", "if now < row.locked_until_ms:", "if False:", "d10_five"),
    Break("private addresses allowed", "gate/channels/web.py", "not all(is_public(one) for one in addresses)", "False", "i10"),
    Break("Slack text not escaped", "gate/compose.py", '.replace("<", "&lt;")', "", "no_word"),
)  # fmt: skip


def arguments(wanted: Iterable[Break]) -> list[str]:
    """Return what to tell pytest: a choice among the tests of this folder."""
    return ["tests/gate", "-k", " or ".join(one.test for one in wanted)]


if __name__ == "__main__":
    sys.exit(breaks.main(BREAKS, arguments, sys.argv[1:]))
