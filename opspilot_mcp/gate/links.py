"""Every way a text can lead a reader elsewhere, with the host it really leads to."""

import ipaddress
import re
import socket
import unicodedata
from dataclasses import dataclass
from urllib.parse import unquote

from opspilot_mcp import text as plain

_SCHEME = re.compile(r"(?i)(?<![a-z0-9])([a-z][a-z0-9+.-]{1,15}):[\\/]{1,3}[^\s<>\"')\]}]+")
_BARE_SCHEME = re.compile(r"(?i)(?<![a-z0-9])(?:javascript|data|vbscript|mailto|tel|file|blob):[^\s<>\"')\]}]+")
_RELATIVE = re.compile(r"(?<![:\w/\\])[\\/]{2}[\w.-]+\.\w{2,}[^\s<>\"')\]}]*")
_DOMAIN = re.compile(
    r"(?<![\w@./:\\-])(?:[\w-]{1,63}\.)+([^\W\d_]{2,24}|xn--[a-z0-9-]+)(?![\w@])(?::\d+)?(/[^\s<>\"')\]]*)?"
)
_NUMERIC_HOST = re.compile(r"(?<![\w@./:-])(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?/[^\s]*")
_MARKDOWN = re.compile(r"(!?)\[([^\]]{0,500})\]\(\s*<?([^)\s>]{1,2000})")
_REFERENCE = re.compile(r"(?m)^[ \t>]*\[[^\]\n]{1,200}\]:\s*<?(\S{1,2000})")
_ATTRIBUTE = re.compile(
    r"(?i)\b(?:href|src|srcset|action|background|poster|data|cite|formaction)\s*=\s*[\"']?([^\"'\s>]+)"
)
_ANCHOR = re.compile(r"(?is)<a\s[^<>]{0,2000}?href\s*=\s*[\"']?([^\"'\s<>]+)[^<>]*>(.{0,500}?)</a>")
_CSS = re.compile(r"(?i)(?:url\(|@import)\s*[\"']?([^\"')\s]+)")
_IMAGE_TAG = re.compile(r"(?i)<\s*(?:img|picture|video|audio|source|embed|object|svg|image|iframe|link)\b")
_TAG = re.compile(r"<\s*/?\s*[a-zA-Z][^>\n]{0,200}>")
_SHORTENER_NAMES = (
    "bit.ly t.co tinyurl.com goo.gl ow.ly is.gd buff.ly rebrand.ly cutt.ly lnkd.in rb.gy shorturl.at t.ly s.id "
    "tiny.cc bl.ink v.gd qr.ae adf.ly soo.gd short.io trib.al dub.sh"
)
_SHORTENERS = frozenset(_SHORTENER_NAMES.split())
# `notes.md` or `run.sh` is a file in a support answer far more often than a host; with a path behind it is listed.
_FILE_ENDING_NAMES = (
    "md sh py js ts rs go pl rb cc so ps ai pdf txt log csv json xml yml yaml toml ini conf cfg zip gz tar exe dll doc "
    "docx xls xlsx ppt pptx png jpg jpeg gif svg html htm css sql db bak java jar war class cpp hpp bin iso msi bat "
    "local internal service target eg ie"
)
_FILE_ENDINGS = frozenset(_FILE_ENDING_NAMES.split())
MAX_LINKS = 200


@dataclass(frozen=True)
class Link:
    """One link. `host` is ASCII (punycode where needed), "" for a link without one; `tricks` says what is odd."""

    written: str
    host: str
    tricks: tuple[str, ...]

    @property
    def shown(self) -> str:
        """What a person reads: where it leads, in characters that cannot deceive."""
        return f"{self.host or '(no host)'}  <- {ascii(self.written)[1:-1][:200]}"


def find(text: str) -> list[Link]:
    """Return the links in `text`, each once, at most MAX_LINKS; also those broken over lines."""
    joined = re.sub(r"[ \t]*\n[ \t]*", "", text)
    found: dict[str, Link] = {}
    for source in (text, joined) if joined != text else (text,):
        for written, tricks in _written(source, bare=source is text):
            known = found.get(written)
            both = tuple(dict.fromkeys([*(known.tricks if known else ()), *tricks]))
            if known or not (source is joined and _covered(written, found)):
                found[written] = _link(written, both)
    return list(found.values())[:MAX_LINKS]


def _covered(written: str, found: dict[str, Link]) -> bool:
    """Whether a link from the joined text is one already found, with words of the lines around glued to it."""
    return any(seen in written and _host(written) == _host(seen) for seen in found if len(seen) > 3)


def _written(text: str, *, bare: bool) -> list[tuple[str, list[str]]]:
    """Return (link as written, tricks of the way it is written); hosts without a scheme only where `bare`.

    No reader makes a link of two lines without a scheme, and the end of a sentence would look like one.
    """
    out: list[tuple[str, list[str]]] = []
    for match in _MARKDOWN.finditer(text):
        tricks = ["image"] if match.group(1) else []
        out.append((match.group(3), tricks + _mismatch(match.group(2), match.group(3))))
    for match in _ANCHOR.finditer(text):
        out.append((match.group(1), _mismatch(_TAG.sub("", match.group(2)), match.group(1))))
    for pattern in (_REFERENCE, _ATTRIBUTE, _CSS):
        out += [(match.group(1), []) for match in pattern.finditer(text)]
    for pattern in (_SCHEME, _BARE_SCHEME, _RELATIVE, _NUMERIC_HOST):
        out += [(match.group(), []) for match in pattern.finditer(text)]
    out += [(match.group(), []) for match in _DOMAIN.finditer(text) if bare and _is_host(match)]
    return [(written.rstrip(".,;:!?*_`"), tricks) for written, tricks in out if _leads(written)]


def _leads(written: str) -> bool:
    """Whether a captured target goes anywhere: a fragment or a bare word does not."""
    return any(sign in written for sign in (".", ":", "//", "\\\\"))


def _is_host(match: re.Match[str]) -> bool:
    return bool(match.group(2)) or match.group(1).lower() not in _FILE_ENDINGS


def _mismatch(words: str, target: str) -> list[str]:
    """Say when the words name one host and the target is another."""
    named = _DOMAIN.search(words) or _SCHEME.search(words)
    if named and _host(named.group()).removeprefix("www.") != _host(target).removeprefix("www."):
        return ["its words name another host"]
    return []


def _link(written: str, tricks: tuple[str, ...]) -> Link:
    host = _host(written)
    return Link(written, host, tuple(dict.fromkeys([*tricks, *_tricks(written, host)])))


def _tricks(written: str, host: str) -> list[str]:
    scheme = written.split(":", 1)[0].lower() if re.match(r"(?i)[a-z][a-z0-9+.-]*:", written) else ""
    authority = _authority(written)
    out = []
    if scheme in ("javascript", "data", "vbscript", "file", "blob"):
        out.append(f"{scheme}: link")
    if "@" in authority and scheme not in ("mailto", ""):
        out.append("a name before @ hides the host")
    if _as_address(host):
        out.append("a bare address instead of a name")
    if "xn--" in host or not authority.isascii():
        out.append("letters that can look like others")
    if host.removeprefix("www.") in _SHORTENERS:
        out.append("a shortener hides where it leads")
    return out


def _authority(written: str) -> str:
    """Return the part of a link between the slashes."""
    rest = re.sub(r"(?i)^[a-z][a-z0-9+.-]*:(?=[\\/])", "", written).lstrip("\\/")
    if re.match(r"(?i)mailto:", rest):
        rest = rest[7:].split("?")[0]
    elif re.match(r"(?i)(javascript|data|vbscript|tel|file|blob):", rest):
        return ""
    return re.split(r"[/\\?#]", rest, maxsplit=1)[0]


def _host(written: str) -> str:
    """Return the host a browser would go to, in ASCII lower case."""
    authority = unquote(_authority(written)).rsplit("@", 1)[-1]
    host = authority[1:].split("]")[0] if authority.startswith("[") else authority.split(":")[0]
    host = unicodedata.normalize("NFKC", host).replace("\u3002", ".").lower().rstrip(".")
    if address := _as_address(host):
        return address
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return ascii(host)[1:-1]


def _as_address(host: str) -> str:
    """Return the dotted address behind any spelling of one (decimal, hex, octal), or ""."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not re.fullmatch(r"(?i)(?:0x[0-9a-f]+|\d+)(?:\.(?:0x[0-9a-f]+|\d+)){0,3}", host):
        return ""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return ""


def has_image(text: str) -> bool:
    """Whether the text would load something where Markdown or HTML is drawn: that alone can carry data out."""
    return bool(_IMAGE_TAG.search(text)) or bool(re.search(r"!\s*\[", text)) or bool(_CSS.search(text))


def has_markup(text: str) -> bool:
    """Whether the text holds HTML tags."""
    return bool(_TAG.search(text))


def mixed_words(text: str, *, limit: int = 10) -> list[str]:
    """Return words that mix Latin letters with Cyrillic or Greek ones: how one word is made to look like another."""
    if text.isascii():
        return []
    out = []
    for word in dict.fromkeys(re.findall(r"[^\W\d_]{2,60}", plain.clean(text))):
        scripts = {unicodedata.name(char, "?").split(" ")[0] for char in word if not char.isascii()}
        scripts |= {"LATIN"} if any(char.isascii() for char in word) else set()
        if "LATIN" in scripts and scripts & {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC"}:
            out.append(word)
    return out[:limit]
