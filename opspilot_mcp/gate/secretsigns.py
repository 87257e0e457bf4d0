"""Signs of a secret in a text: anchored shapes that issuers document, not guesses from randomness.

A clear sign blocks. A sign that shows only once the text is unwrapped (split, reversed, base64, hex) is a warning:
such searches find some disguises, never all of them.
"""

import base64
import binascii
import re
from collections.abc import Iterator

from opspilot_mcp import keyshapes

_LOOSE = {
    name: re.compile(shape)
    for name, shape in keyshapes.SHAPES.items()
    if name not in ("an AWS secret key", "an OpenAI key", "a Twilio key", "an address with a password")
}
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}[\s:-]?){16,}")


def clear(text: str) -> list[str]:
    """Return what kinds of secret stand openly in `text`."""
    return [name for name, shape in keyshapes.CLEAR.items() if shape.search(text)]


def told(text: str) -> bool:
    """Whether the text tells a password, key or token in words."""
    return any(any(char.isdigit() for char in value) for value in keyshapes.TOLD.findall(text))


def disguised(text: str) -> list[str]:
    """Return what kinds of secret show once the text is unwrapped, and did not stand openly."""
    open_ones = set(clear(text))
    seen = {name for form in _forms(text) for name, shape in _LOOSE.items() if shape.search(form)}
    return sorted(seen - open_ones)


def _forms(text: str) -> Iterator[str]:
    """Yield other readings of a text: without blanks, without separators, reversed, decoded."""
    squeezed = re.sub(r"[\s\u200b-\u200f\u00ad\u2060\ufeff]+", "", text)
    yield squeezed
    yield text[::-1]
    yield squeezed[::-1]
    yield re.sub(r"(?<=\S)[\s.,|*'\"+]+(?=\S)", "", text)
    for token in (*_BASE64.findall(text)[:200], *_BASE64.findall(squeezed)[:200]):
        yield from _decoded(token)
    for token in _HEX.findall(text)[:200]:
        digits = re.sub(r"[^0-9a-fA-F]", "", token)
        yield bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("latin-1")


def _decoded(token: str) -> Iterator[str]:
    bare = token.rstrip("=").replace("-", "+").replace("_", "/")
    for cut in range(4):  # a token glued to the words before it starts at another place
        part = bare[cut:]
        try:
            yield base64.b64decode(part[: len(part) // 4 * 4]).decode("latin-1")
        except (binascii.Error, ValueError):
            continue
