"""The one place where strangers' text is cleaned, capped and marked on its way to a model.

What comes out stands in a field named `untrusted_*`: words from outside, to be read and never obeyed. Nothing here
looks for attacks by their wording; the desk is safe because the agent's process cannot send, not because a filter
guessed right.
"""

from opspilot_mcp import text

SUBJECT = 160
BODY = 4_000
THREAD_BODY = 1_000


def line(value: str | None, limit: int = SUBJECT) -> str | None:
    """Return a stranger's one-liner, cleaned and at most `limit` characters, with `...` where it was cut."""
    if value is None:
        return None
    kept, cut = text.cap(text.one_line(value), limit)
    return f"{kept}..." if cut else kept


def block(value: str | None, limit: int = BODY) -> str | None:
    """Return a stranger's text, cleaned; a cut says how much is missing."""
    if value is None:
        return None
    kept, cut = text.cap(text.clean(value), limit)
    return f"{kept}\n[{cut} more characters not shown]" if cut else kept
