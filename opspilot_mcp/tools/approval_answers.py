"""What a model sees of a proposal, and of the people it waits for."""

from opspilot_mcp.clock import iso
from opspilot_mcp.proposals import GateState, Proposal
from opspilot_mcp.tools import untrusted
from opspilot_mcp.tools.protocol import Answer


class ApprovalRow(Answer):
    """One proposed message. `state` is what people's side says; it is sent only when it says sent."""

    id: str
    kind: str
    subject: str
    channel: str
    state: str
    detail: str | None
    proposed: str
    untrusted_title: str | None
    untrusted_body: str | None


class ApprovalsAnswer(Answer):
    approvals: list[ApprovalRow]
    gate: str
    next_cursor: str | None


class ProposalAnswer(Answer):
    """What became of a request to send: it waits for a person."""

    id: str
    state: str
    is_new: bool | None
    detail: str | None
    gate: str
    next: str


SET_UP_GATE = "opspilot-mcp gate init"
START_GATE = "opspilot-mcp gate run"


def gate_line(gate: GateState, *, proposal_id: str | None = None) -> str:
    """Say whether people's side runs and what a person must do: they must not wait for what nobody started."""
    review = f"opspilot-mcp gate show {proposal_id}" if proposal_id else "opspilot-mcp gate pending"
    if gate.killed:
        return "A person threw the kill switch: nothing is sent until they lift it with `opspilot-mcp gate release`."
    if gate.running:
        page = f"{gate.console}/messages/{proposal_id}" if proposal_id else gate.console
        where = f"at {page}, or " if gate.console else ""
        return f"The gate runs. A person signs {where}with `{review}` and then `opspilot-mcp gate approve`."
    first = "" if gate.last_beat_ms else f"sets it up with `{SET_UP_GATE}`, once, then "
    start = f"{first}starts it with `{START_GATE}`"
    return f"The gate is NOT running: nothing can be sent. A person {start} and reads `{review}`."


def approval_row(proposal: Proposal, *, with_body: bool = False) -> ApprovalRow:
    return ApprovalRow(
        id=proposal.id,
        kind=proposal.kind,
        subject=proposal.subject,
        channel=proposal.channel,
        state=proposal.state,
        detail=_detail(proposal),
        proposed=iso(proposal.created_ms),
        untrusted_title=untrusted.line(proposal.title),
        untrusted_body=untrusted.block(proposal.body) if with_body else None,
    )


def proposal_answer(proposal: Proposal, gate: GateState, *, is_new: bool | None = None) -> ProposalAnswer:
    return ProposalAnswer(
        id=proposal.id,
        state=proposal.state,
        is_new=is_new,
        detail=_detail(proposal),
        gate=gate_line(gate, proposal_id=proposal.id),
        next=_next_for(proposal),
    )


def _detail(proposal: Proposal) -> str | None:
    """Return what people's side says of it; nothing where it has not answered a later wish: its words are of before."""
    is_overtaken = proposal.asked != "send" and proposal.outcome != proposal.state
    return None if is_overtaken else untrusted.line(proposal.outcome_detail, 300)


def _next_for(proposal: Proposal) -> str:
    says = {
        "sent": "It was sent.",
        "approved": "A person signed it; it leaves after the undo window. It is not sent yet.",
        "sending": "It is leaving now. It is not sent yet.",
        "uncertain": "Nobody knows whether it arrived. A person must look and decide; do not propose it again.",
        "retry": "A try failed and will be repeated. It is not sent yet.",
        "failed": "It could not be sent. A person must look at it.",
        "rejected": "It was refused. Read in `detail` why before you propose another text.",
        "withdrawn": "It was withdrawn and will not be sent.",
        "expired": "The signature ran out: a person must sign it again. It is not sent; do not propose it twice.",
        "held": "It is on hold. Only a person can lift the hold.",
    }
    return says.get(proposal.state, "It waits: a person must sign it. It is not sent.")
