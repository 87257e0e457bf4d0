"""The arithmetic of a hash-chained record: what a row hashes to, and where a walk along the rows finds the first fault.

Each row carries the hash of the row before. Whoever can write the file can write the whole chain anew, or cut its
end; both show only against hashes kept outside the file, which a walk takes as `held`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from opspilot_mcp.store import canonical

START = "0" * 64
COLUMNS = ("seq", "at_ms", "actor", "action", "subject", "detail", "previous")


def row_hash(row: Mapping[str, object]) -> str:
    """Return what a row hashes to. Raises TypeError or ValueError for a value no row of ours holds, such as bytes."""
    return canonical.sha256(canonical.text({name: row[name] for name in COLUMNS}).encode())


def linked(
    head: tuple[int, str], actor: str, action: str, subject: str, detail: Mapping[str, object], *, now: int
) -> dict[str, object]:
    """Return the row that follows `head` (number, hash), whole."""
    seq, previous = head
    row: dict[str, object] = {
        "seq": seq + 1,
        "at_ms": now,
        "actor": actor,
        "action": action,
        "subject": subject,
        "detail": canonical.text(detail),
        "previous": previous,
    }
    return {**row, "hash": row_hash(row)}


@dataclass(frozen=True)
class Fault:
    """The first bad row's number, and why, in words that end a sentence."""

    seq: int
    why: str


@dataclass
class Walk:
    """A walk along all rows in order of their numbers. `held` is what is known outside the file: number to hash."""

    held: Mapping[int, str] = field(default_factory=dict)
    held_word: str = "checkpointed"
    rows: int = 0
    head: tuple[int, str] = (0, START)
    fault: Fault | None = None

    def take(self, row: Mapping[str, object]) -> bool:
        """Look at the next row; False from the first bad one on."""
        self.rows += 1
        expected, why = self.head[0] + 1, self._why(row)
        if why:
            seq = row.get("seq")
            self.fault = Fault(min(expected, seq) if isinstance(seq, int) else expected, why)
            return False
        self.head = (expected, str(row["hash"]))
        return True

    def _why(self, row: Mapping[str, object]) -> str:
        expected = self.head[0] + 1
        if row.get("seq") != expected:
            return f"row {expected} is missing or out of place"
        try:
            is_whole = row["previous"] == self.head[1] and row["hash"] == row_hash(row)
        except (KeyError, TypeError, ValueError):
            is_whole = False
        if not is_whole:
            return f"row {expected} was changed"
        if self.held.get(expected, row["hash"]) != row["hash"]:
            return f"row {expected} is not the row that was {self.held_word}"
        return ""

    def end(self) -> Fault | None:
        """Return the first fault, a cut tail included, once every row was taken."""
        last = max(self.held, default=0)
        if self.fault is None and last > self.head[0]:
            first = self.head[0] + 1
            which = f"rows {first} to {last} were" if last > first else f"row {first} was"
            self.fault = Fault(first, f"{which} cut off the end")
        return self.fault
