"""`import answers`: what customers wrote back joins the threads of their tickets, and a clock that waited runs on."""

from pathlib import Path
from typing import Any

from opspilot_mcp.app import App
from opspilot_mcp.commands import importing, rows
from opspilot_mcp.commands.importing import Imported, Problems, Progress
from opspilot_mcp.desk import moves
from opspilot_mcp.desk.moves import Answer
from opspilot_mcp.errors import InvalidInput, OpsPilotError

FIELDS = ("ticket", "external_id", "body", "sender", "message_id")

# What other systems call our fields; --map adds to it and wins.
_NAMES = {
    "ticket_id": "external_id",
    "text": "body",
    "message": "body",
    "from": "sender",
    "email": "sender",
    "requester_email": "sender",
    "id": "message_id",
}


async def import_answers(
    app: App, path: Path, *, mapping: dict[str, str], source: str = "import", progress: Progress = importing.no_progress
) -> Imported:
    """Add each row's words to its ticket, a transaction a row: what one ticket refuses keeps no other from its own."""
    importing.check_mapping(mapping, FIELDS)
    problems = Problems()
    stored = known = 0
    for row in rows.read(path):
        progress(row.at)
        for answer in importing.attempt(row, lambda data: [answer_of(data, mapping)], problems):
            try:
                is_new = await app.write(
                    moves.take_answer, answer, source=source, actor=app.principal, policy=app.policy, now=app.now()
                )
            except OpsPilotError as error:
                problems.add(row, str(error))
                continue
            stored, known = stored + is_new, known + (not is_new)
    if not stored and not known and not problems.found:
        raise InvalidInput(f"{path.name} holds no rows. Give a file with at least one.")
    rejected_file = importing.keep_rejected(path, problems.found) if problems.found else None
    return Imported(stored, known, problems.found, rejected_file)


def answer_of(row: dict[str, Any], mapping: dict[str, str]) -> Answer:
    """Return the answer in a row; fields we do not keep are left out. Raises InvalidInput naming what is missing."""
    named: dict[str, Any] = {}
    for theirs, value in row.items():
        lowered = theirs.strip().lower()
        ours = mapping.get(theirs) or (lowered if lowered in FIELDS else _NAMES.get(lowered))
        if ours and (theirs in mapping or named.get(ours) in (None, "")):
            named[ours] = value
    texts = {name: importing.text_of(named.get(name), name) or None for name in FIELDS}
    if not (texts["ticket"] or texts["external_id"]):
        raise InvalidInput("The answer names no ticket. Give `ticket` (T-12) or `external_id` (the source's own id).")
    return Answer(
        ticket=texts["ticket"],
        external_id=texts["external_id"],
        body=texts["body"] or "",
        sender=texts["sender"],
        message_id=texts["message_id"],
    )
