"""One way to turn a payload into bytes, so that two programs sign and hash the same thing."""

import hashlib
import json
from collections.abc import Mapping


def text(payload: Mapping[str, object]) -> str:
    """Return ASCII JSON with sorted keys and no blanks: the same bytes for the same payload, everywhere."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def to_sign(purpose: str, payload_text: str) -> bytes:
    """Return the bytes a key signs; the purpose in front keeps one kind of signature from passing as another."""
    return purpose.encode() + b"\0" + payload_text.encode()


def sha256(data: bytes) -> str:
    """Return the SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()
