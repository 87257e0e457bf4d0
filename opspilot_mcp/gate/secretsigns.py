"""Signs of a secret in a text: anchored shapes that issuers document, not guesses from randomness.

A clear sign blocks. A sign that shows only once the text is unwrapped (split, reversed, base64, hex) is a warning:
such searches find some disguises, never all of them.
"""

import base64
import binascii
import re
from collections.abc import Iterator

_SHAPES: dict[str, str] = {
    "an AWS access key": r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}",
    "an AWS secret key": r"(?i:aws.{0,20}secret.{0,20})[=:\s\"']{1,5}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])",
    "a Slack token": r"xox[abeoprs](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}|xapp-\d-[A-Za-z0-9-]{10,}",
    "a Slack webhook": r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{16,}",
    "a GitHub token": r"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,}",
    "a GitLab token": r"gl(?:pat|dt|rt|ptt|cbt)-[A-Za-z0-9_-]{20,}",
    "a Stripe key": r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}",
    "a webhook secret": r"whsec_[A-Za-z0-9+/=]{20,}",
    "a JSON web token": r"eyJ[A-Za-z0-9_-]{8,600}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    "a private key": r"-----BEGIN[ A-Z0-9]{0,30}PRIVATE KEY(?: BLOCK)?-----",
    "a database address with a password": (
        r"(?i:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?|amqps?|mssql|oracle|clickhouse)"
        r"(?:\+\w{1,20})?://[^\s:/@]{0,100}:[^\s@]{1,200}@[\w.\[-]"
    ),
    "an address with a password": r"(?i:https?|ftps?|ssh|sftp)://[^\s:/@]{1,100}:[^\s/@]{1,200}@[\w.\[-]",
    "a Google API key": r"AIza[0-9A-Za-z_-]{35}",
    "a Google OAuth secret": r"GOCSPX-[A-Za-z0-9_-]{20,}",
    "an Anthropic key": r"sk-ant-[A-Za-z0-9_-]{20,}",
    "an OpenAI key": r"sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{32,}",
    "a SendGrid key": r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "an npm token": r"npm_[A-Za-z0-9]{36}",
    "a PyPI token": r"pypi-AgE[A-Za-z0-9_-]{30,}",
    "a Twilio key": r"(?:SK|AC)[0-9a-f]{32}",
    "a DigitalOcean token": r"do[opr]_v1_[a-f0-9]{64}",
    "an Azure storage key": r"AccountKey=[A-Za-z0-9+/]{80,}={0,2}",
    "a HashiCorp Vault token": r"hvs\.[A-Za-z0-9_-]{24,}",
}
_CLEAR = {name: re.compile(rf"(?<![A-Za-z0-9_])(?:{shape})") for name, shape in _SHAPES.items()}
_LOOSE = {
    name: re.compile(shape)
    for name, shape in _SHAPES.items()
    if name not in ("an AWS secret key", "an OpenAI key", "a Twilio key", "an address with a password")
}
_TOLD = re.compile(
    r"(?i)\b(?:pass(?:word|phrase|wd)?|pwd|api[ _-]?key|secret|access[ _-]?token|auth[ _-]?token|pin)"
    r"\s*(?:is|=|:|->)\s*[\"'`]?(\S{6,})"
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}[\s:-]?){16,}")


def clear(text: str) -> list[str]:
    """Return what kinds of secret stand openly in `text`."""
    return [name for name, shape in _CLEAR.items() if shape.search(text)]


def told(text: str) -> bool:
    """Whether the text tells a password, key or token in words."""
    return any(any(char.isdigit() for char in value) for value in _TOLD.findall(text))


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
