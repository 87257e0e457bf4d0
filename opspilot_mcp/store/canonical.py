"""One way to turn a payload into bytes, so that two programs sign and hash the same thing."""

import hashlib
import json
from collections.abc import Mapping

# json.dumps builds a new encoder at each call with options; every change at the desk hashes a row.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def text(payload: Mapping[str, object]) -> str:
    """Return ASCII JSON with sorted keys and no blanks: the same bytes for the same payload, everywhere."""
    return _ENCODER.encode(payload)


def sha256(data: bytes) -> str:
    """Return the SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()
