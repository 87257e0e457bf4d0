"""What a key signs: the ground's canonical text behind the name of its purpose."""

from opspilot_mcp.store.canonical import sha256 as sha256
from opspilot_mcp.store.canonical import text as text


def to_sign(purpose: str, payload_text: str) -> bytes:
    """Return the bytes a key signs; the purpose in front keeps one kind of signature from passing as another."""
    return purpose.encode() + b"\0" + payload_text.encode()
