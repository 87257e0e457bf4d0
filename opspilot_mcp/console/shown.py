"""How values look on every page: times, spans, states, strangers' words. Used as template filters."""

import re
from collections.abc import Callable
from typing import Any

from opspilot_mcp import clock, text
from opspilot_mcp.console.marks import Segment, segments

LONG = 20_000
_ID = re.compile(r"(?:T|INC|PR)-[1-9][0-9]{0,14}")
_PIECES = re.compile(rf"(`[^`]+`|\b{_ID.pattern}\b)")
_PAGES = {"T": "tickets", "INC": "incidents", "PR": "messages"}

STATES = {
    "pending": "waits for a signature",
    "approved": "signed, leaves soon",
    "sending": "being sent",
    "sent": "sent",
    "uncertain": "nobody knows whether it arrived",
    "retry": "signed, tried again soon",
    "failed": "could not be sent",
    "rejected": "rejected",
    "withdrawn": "withdrawn by the agent",
    "expired": "signature ran out, sign again",
    "held": "held",
    "void": "void",
    "replaced": "replaced by a newer version",
}


def when(ms: int | None) -> str:
    """Return an instant as people read it: `2026-11-21 14:05 UTC`."""
    return "" if ms is None else f"{clock.iso(ms)[:16].replace('T', ' ')} UTC"


def iso(ms: int | None) -> str:
    """Return an instant for a `datetime` attribute."""
    return "" if ms is None else clock.iso(ms)


def span(ms: int | None) -> str:
    """Return a length of time."""
    return "" if ms is None else clock.human_span(ms)


def line(value: object, limit: int = 200) -> str:
    """Return a stranger's one-liner, cleaned; a cut ends in an ellipsis."""
    kept, cut = text.cap(text.one_line(str(value or "")), limit)
    return f"{kept}…" if cut else kept


def block(value: object) -> list[Segment]:
    """Return a stranger's text with everything unseen made visible; a cut says how much is missing."""
    kept, cut = text.cap(str(value or ""), LONG)
    return segments(kept) + ([Segment("cut", "", f"{cut} more characters not shown")] if cut else [])


def state_words(state: str) -> str:
    """Return a message's state in words."""
    return STATES.get(state, state)


def done(action: str) -> str:
    """Return a timeline's or record's action in words: `incident.ticket_linked` is "ticket linked"."""
    return action.rpartition(".")[2].replace("_", " ")


def dollars(amount: float) -> str:
    """Return an amount with as many digits as tell it from nothing."""
    return f"${amount:.4f}" if amount >= 0.01 or amount == 0 else f"${amount:.6f}"


def grouped(number: int) -> str:
    """Return a count with thin blanks between thousands."""
    return f"{number:,}".replace(",", "\u202f")


def referenced(sentence: str) -> list[tuple[str, str]]:
    """Return a sentence of the summary in pieces: (code, `name`), (address of a record's page, its id), ("", text)."""
    out = []
    for piece in _PIECES.split(sentence):
        if len(piece) > 2 and piece[0] == piece[-1] == "`":
            out.append(("code", piece[1:-1]))
        elif _ID.fullmatch(piece):
            out.append((f"/{_PAGES[piece.partition('-')[0]]}/{piece}", piece))
        elif piece:
            out.append(("", piece))
    return out


FILTERS: dict[str, Callable[..., Any]] = {
    "when": when,
    "iso": iso,
    "span": span,
    "line": line,
    "block": block,
    "segments": segments,
    "state_words": state_words,
    "grouped": grouped,
    "done": done,
    "dollars": dollars,
    "referenced": referenced,
    "capitalised": lambda sentence: sentence[:1].upper() + sentence[1:],
    "plain": lambda name: str(name or "").replace("_", " "),
}
