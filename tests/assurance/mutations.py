"""The places where the suite breaks the gate, and the test that must see each.

    python -m tests.assurance.mutations [WORD ...]

Without a word all are tried, with words those whose name holds one. Exit code 1 when a break goes unnoticed.
"""

import sys
from collections.abc import Iterable

from tests import breaks
from tests.breaks import Break

_SIGNATURES = "gate/signatures.py"
_DISPATCH = "gate/dispatch.py"

_KEPT = """

def _kept(here: Door, cookie: str, session: object, now: int, user: int | None) -> str:
    fresh = here.sign_ins.open(session, now=now, user=user)
    from opspilot_mcp.console import sessions
    here.sign_ins._open[sessions._digest(cookie)] = here.sign_ins._open[sessions._digest(fresh)]
    return cookie
"""

BREAKS = (
    Break(
        "drop the nonce check",
        _SIGNATURES,
        "if _spent_elsewhere(",
        "if False and _spent_elsewhere(",
        "test_b_binding.py::test_b17_spent_nonce_does_not_count_again",
    ),
    Break(
        "never spend a nonce",
        _DISPATCH,
        "signatures.spend(conn, signed.nonces, message, now=now)",
        "pass",
        "test_b_binding.py::test_b17_spent_nonce_does_not_count_again",
    ),
    Break(
        "compare the wrong hash",
        _SIGNATURES,
        '"sha256": canonical.sha256(content),',
        '"destination_sha256": message.destination_sha256,',
        "test_b_binding.py::test_b01_signature_is_for_these_bytes_and_no_others",
    ),
    Break(
        "ignore the version",
        _SIGNATURES,
        '        "version": message.version,\n        "sha256": canonical.sha256(content),',
        '        "sha256": canonical.sha256(content),',
        "test_b_binding.py::test_b01_signature_is_for_this_version_and_no_other",
    ),
    Break(
        "ignore the recipient",
        _SIGNATURES,
        '        "recipients": [message.recipient],\n        "risk": message.risk,\n        "approver": approver.name,',
        '        "risk": message.risk,\n        "approver": approver.name,',
        "test_b_binding.py::test_b01_signature_is_for_this_recipient_and_no_other",
    ),
    Break(
        "skip the instance id",
        _SIGNATURES,
        'purpose": PURPOSE,\n        "instance": authority.root.instance,\n        "message": message.id,\n'
        '        "version": message.version,\n        "sha256": canonical.sha256(content),',
        'purpose": PURPOSE,\n        "message": message.id,\n'
        '        "version": message.version,\n        "sha256": canonical.sha256(content),',
        "test_b_binding.py::test_b18_approval_of_another_instance_does_not_count",
    ),
    Break(
        "skip expiry",
        _SIGNATURES,
        'if not int(str(payload["issued_ms"])) <= now < int(str(payload["expires_ms"])):',
        "if False:",
        "test_b_binding.py::test_b05_approval_ends_to_the_millisecond",
    ),
    Break(
        "believe a clock set back",
        "gate/state.py",
        "return max(now, self.high_water_ms)",
        "return now",
        "test_b_binding.py::test_b05_clock_set_back_revives_nothing",
    ),
    Break(
        "skip revocation",
        _SIGNATURES,
        "if not approver.is_active:",
        "if False:",
        "test_b_binding.py::test_b12_revoked_key_does_not_send",
    ),
    Break(
        "accept any signature",
        "gate/keys.py",
        "    except (InvalidSignature, ValueError):\n        return False",
        "    except (InvalidSignature, ValueError):\n        return True",
        "test_b_binding.py::test_b17_wrong_key_under_a_registered_name_does_not_count",
    ),
    Break(
        "trust the state column",
        _SIGNATURES,
        "    wanted = needed(message, trusted)\n    if message.risk",
        "    return True\n    wanted = needed(message, trusted)\n    if message.risk",
        "test_b_binding.py::test_b17_approved_state_without_any_signature_sends_nothing",
    ),
    Break(
        "no separation of duties",
        "gate/approvers.py",
        "    plain = _folded(approver)\n",
        "    return False\n    plain = _folded(approver)\n",
        "test_b_binding.py::test_b11_who_proposed_does_not_sign",
    ),
    Break(
        "count keys, not people",
        _SIGNATURES,
        'good[str(payload["approver"])] = payload',
        'good[str(payload["key_id"])] = payload',
        "test_b_binding.py::test_b13_two_keys_of_one_person_count_once",
    ),
    Break(
        "skip the kill switch in the claim",
        _DISPATCH,
        "if standing.killed_by or standing.quarantine or not _is_due",
        "if standing.quarantine or not _is_due",
        "test_b_binding.py::test_b10_kill_switch_stops_what_is_due",
    ),
    Break(
        "no undo window",
        "gate/policy.py",
        'return 0 if kind == "file" else self.approval.undo_seconds * 1000',
        "return 0",
        "test_b_binding.py::test_b10_cancel_inside_the_undo_window",
    ),
    Break(
        "do not ask the desk again",
        _DISPATCH,
        "    if why := why_void(message, look):\n        return",
        "    if why := '':\n        return",
        "test_b_binding.py::test_b01_ticket_changed_after_the_approval",
    ),
    Break(
        "mark before send",
        "gate/turns.py",
        "        result = await asyncio.to_thread(dispatch.send, claim, gate.authority, gate.wire, clock_ms)\n"
        "        await gate.db.write(dispatch.mark, claim, result, now=clock_ms())",
        '        result = dispatch.Result("sent", "marked first")\n'
        "        await gate.db.write(dispatch.mark, claim, result, now=clock_ms())\n"
        "        await asyncio.to_thread(dispatch.send, claim, gate.authority, gate.wire, clock_ms)",
        "test_f_faults.py::test_f01_kill_loses_and_doubles_nothing_where_repeats_arrive",
    ),
    Break(
        "send again what is in doubt",
        _DISPATCH,
        'to = "retry" if repeats else "uncertain"',
        'to = "retry"',
        "test_f_faults.py::test_f01_kill_loses_and_doubles_nothing_where_repeats_arrive",
    ),
    Break(
        "no fence",
        _DISPATCH,
        "messages.c.fence == claim.fence, messages.c.state",
        "messages.c.state",
        "test_f_faults.py::test_f01_sender_that_woke_up_late_marks_nothing",
    ),
    Break(
        "treat a broken wire as not sent",
        _DISPATCH,
        "if failure.maybe_sent and not repeats:",
        "if False:",
        "test_f_faults.py::test_f03_mail_fault_is_judged_by_what_is_known",
    ),
    Break(
        "let the record's hash go unchecked",
        "store/chain.py",
        'row["previous"] == self.head[1] and row["hash"] == row_hash(row)',
        'row["previous"] == self.head[1]',
        "test_h_record.py::test_h02_tampering_names_the_first_bad_row",
    ),
    Break(
        "never compare with what was noted outside the file",
        "store/chain.py",
        'if self.held.get(expected, row["hash"]) != row["hash"]:',
        "if False:",
        "test_h_record.py::test_h02_the_desks_record_written_anew_disagrees_with_what_the_gate_noted",
    ),
    Break(
        "leave a backup the power to send",
        "gate/backup.py",
        "        upkeep.quarantine(conn, why, now=now)",
        "        pass",
        "test_f_backup.py::test_f11_a_message_sent_after_the_backup_is_not_sent_again_by_a_restore",
    ),
    Break(
        "leave to a backup what the gate had not taken",
        "gate/backup.py",
        "            _take_rest(conn, home, now=now)",
        "            pass",
        "test_f_backup.py::test_f11_a_message_the_gate_had_not_taken_is_held_with_the_reason_after_a_restore",
    ),
    Break(
        "let secrets through",
        "gate/risks.py",
        'Flag(code="secret", level="block"',
        'Flag(code="secret", level="note"',
        "test_e_content.py::test_e15_secret_in_a_draft_is_blocked",
    ),
    Break(
        "tell a model all",
        "engines/prompts.py",
        "return mask(words) if letter.is_masked else words",
        "return words",
        "test_e_masking.py::test_e19_personal_data_is_masked_on_its_way_to_a_model",
    ),
    Break(
        "let a mask out",
        "gate/risks.py",
        'Flag(code="mask", level="block"',
        'Flag(code="mask", level="note"',
        "test_e_masking.py::test_e19_an_answer_with_a_mask_in_it_does_not_go_out",
    ),
    Break(
        "take any Host",
        "console/guards.py",
        'if headers.getlist("host") != [authority]:',
        "if False:",
        "test_d_console.py::test_d01_another_host_is_refused_on_every_route",
    ),
    Break(
        "take forms without their token",
        "console/door.py",
        "if not cookie or not door.sign_ins.spend(",
        "if False and not door.sign_ins.spend(",
        "test_d_console.py::test_d02_form_without_its_own_token_decides_nothing",
    ),
    Break(
        "keep the cookie over the sign-in",
        "console/pages/signing_in.py",
        "here.sign_ins.open(session, now=await here.instant(), user=user)",
        "_kept(here, cookie, session, await here.instant(), user)",
        "test_d_console.py::test_d05_sign_in_gives_a_new_cookie_out_of_reach",
        _KEPT,
    ),
    Break(
        "never lock out",
        "gate/approvers.py",
        "if now < row.locked_until_ms:",
        "if False:",
        "test_d_console.py::test_d10_twenty_bad_sign_ins_lock_out_and_are_written_down",
    ),
)


def arguments(wanted: Iterable[Break]) -> list[str]:
    """Return what to tell pytest: the tests by name."""
    return sorted({f"tests/assurance/{one.test}" for one in wanted})


if __name__ == "__main__":
    sys.exit(breaks.main(BREAKS, arguments, sys.argv[1:]))
