"""What can go wrong, as callers see it: one base, and a child only where a caller acts differently.

Every message ends with the next step, in words we wrote. A stranger's text is quoted with `quoted` or left out.
"""

from pydantic import ValidationError


class OpsPilotError(Exception):
    """Base of every error meant for a caller; its text is safe to show."""


class NotFound(OpsPilotError):
    """No record has that id."""


class InvalidInput(OpsPilotError):
    """The caller's value cannot be taken; nothing was changed."""


class Conflict(OpsPilotError):
    """Somebody changed the record first; read it again and decide again."""


class IllegalMove(OpsPilotError):
    """The record's state does not allow this change."""


class NotAllowed(OpsPilotError):
    """Policy, profile or identity forbids it; repeating cannot help."""


class StoreBusy(OpsPilotError):
    """The database stayed locked past every retry; nothing was changed."""


class StoreUnusable(OpsPilotError):
    """The database is damaged, full, newer than this program or not writable."""


class BadSetting(OpsPilotError):
    """A setting or policy key is wrong; the process should stop."""


def first_fault(error: ValidationError) -> tuple[tuple[int | str, ...], str]:
    """Return where a value is wrong, from the outside in, and how; only our own checks quote the value in it."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "extra_forbidden":
        return first["loc"], "is not a known key"
    return first["loc"], first["msg"].removeprefix("Value error, ")


def quoted(text: object, *, limit: int = 40) -> str:
    """Return a stranger's value as a short, escaped literal that is safe inside one of our sentences."""
    raw = ascii(text)
    return raw if len(raw) <= limit else raw[: limit - 4] + "...'"
