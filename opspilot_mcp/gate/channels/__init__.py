"""The ways out. Each channel module has one function, `send(envelope, settings, wire) -> str`, and one failure.

`send` carries the envelope's bytes as they are and returns what the other end answered, in our words. It raises
SendFailed, which says what is known: nothing left (try again or give up), or nobody knows.
"""

from dataclasses import dataclass, field
from pathlib import Path


class SendFailed(Exception):
    """A send that did not end in "accepted". The text is ours and safe to show.

    `maybe_sent`: nobody knows whether it arrived, so nobody may simply send it again.
    `permanent`: nothing left, and another try cannot help. `retry_after_s`: what the other end asked for.
    """

    def __init__(
        self, text: str, *, permanent: bool = False, maybe_sent: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(text)
        self.permanent, self.maybe_sent, self.retry_after_s = permanent, maybe_sent, retry_after_s


@dataclass(frozen=True)
class Envelope:
    """What leaves: the signed bytes and where to."""

    message_id: str
    version: int
    kind: str
    recipient: str
    sender: str
    event_id: str
    content: bytes
    now: int


@dataclass(frozen=True)
class Wire:
    """What a channel may use: the gate's folder (secrets, sent files) and the private destinations allowed."""

    gate: Path
    sent: Path
    allow_private: frozenset[str] = field(default_factory=frozenset)
