"""One POST of given bytes to a checked address: no redirect, no private network, no proxy, no retry of its own.

The name is resolved once, every address it has is checked, and the connection goes to a checked address: an
answer that changes between check and use (DNS rebinding) changes nothing.
"""

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from opspilot_mcp.gate.channels import SendFailed, Wire
from opspilot_mcp.gate.channels.deadline import LONGEST_S, cut_after

_MAX_ANSWER = 65_536
_MOST_ADDRESSES = 3
# IPv4 in the deprecated compatible form, and a translator's local prefix: newer Pythons know them as private.
_NOT_PUBLIC = (ipaddress.ip_network("::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


@dataclass(frozen=True)
class Answer:
    """What the other end said."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def post(
    url: str, content: bytes, headers: Mapping[str, str], *, timeout_s: float, ca_file: str | None, wire: Wire
) -> Answer:
    """Send `content` as it is; return the answer whatever its status. Raises SendFailed."""
    parts = urlsplit(url)
    port = _port(parts)
    addresses = checked_addresses(parts.hostname or "", port, wire)
    if parts.scheme != "https" and f"{parts.hostname}:{port}" not in wire.allow_private:
        raise SendFailed("the address is not https", permanent=True)
    raw = _reach(addresses, port, timeout_s)
    with cut_after(raw, LONGEST_S):
        connection = _secured(raw, parts, port, timeout_s, ca_file, wire)
        try:
            return _exchange(connection, parts, content, headers)
        finally:
            connection.close()


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise SendFailed("the address has no such port", permanent=True) from None


def checked_addresses(host: str, port: int, wire: Wire) -> list[str]:
    """Return the addresses to try, the resolver's best first.

    Raises SendFailed for a name with a private one among them, unless `allow_private` names the destination.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SendFailed(f"the name of the other end does not resolve ({type(error).__name__})") from error
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    if f"{host}:{port}" not in wire.allow_private and not all(is_public(one) for one in addresses):
        raise SendFailed("the address is in a private network; see [network] allow_private", permanent=True)
    return addresses


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet, also behind IPv6 spellings of IPv4."""
    parsed = ipaddress.ip_address(address.split("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo[1] if parsed.teredo else None)
        if inner is None and parsed in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if parsed.is_site_local or any(parsed in one for one in _NOT_PUBLIC):
            return False
    return parsed.is_global and not parsed.is_multicast


def _reach(addresses: list[str], port: int, timeout_s: float) -> socket.socket:
    """Return a connection to the first checked address that answers, all within the channel's time limit."""
    tried = addresses[:_MOST_ADDRESSES]
    for at, address in enumerate(tried, 1):
        try:
            return socket.create_connection((address, port), timeout=timeout_s / len(tried))
        except OSError as error:
            if at == len(tried):
                raise SendFailed(f"no connection ({type(error).__name__})") from error
    raise SendFailed("the name of the other end has no address")


def _secured(
    raw: socket.socket, parts: SplitResult, port: int, timeout_s: float, ca_file: str | None, wire: Wire
) -> http.client.HTTPConnection:
    """Return an HTTP connection over `raw`, its certificate checked against the name."""
    connection = http.client.HTTPConnection(parts.hostname or "", port, timeout=timeout_s)
    raw.settimeout(timeout_s)
    try:
        if parts.scheme == "https":
            raw = tls(ca_file, wire).wrap_socket(raw, server_hostname=parts.hostname)
    except ssl.SSLCertVerificationError as error:
        raw.close()
        raise SendFailed("the other end's certificate is not valid for its name", permanent=True) from error
    except OSError as error:
        raw.close()
        raise SendFailed(f"no connection ({type(error).__name__})") from error
    connection.sock = raw
    return connection


def tls(ca_file: str | None, wire: Wire) -> ssl.SSLContext:
    """Return a context that checks certificates and names, TLS 1.2 or newer."""
    try:
        return _context(str(wire.gate / ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise SendFailed("ca_file cannot be read") from error


@lru_cache(maxsize=16)
def _context(ca_file: str | None) -> ssl.SSLContext:
    """Loading the authorities costs 30 ms: once a file and a process is enough."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _exchange(
    connection: http.client.HTTPConnection, parts: SplitResult, content: bytes, headers: Mapping[str, str]
) -> Answer:
    """Send and read. Once the first byte is out, nobody knows what the other end did with it."""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", target, body=content, headers={**headers, "User-Agent": "opspilot-mcp"})
        answer = connection.getresponse()
        body = answer.read(_MAX_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise SendFailed(f"the connection broke while sending ({type(error).__name__})", maybe_sent=True) from error
    return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)


def judge(answer: Answer, *, now_s: float | None = None) -> None:
    """Return for 2xx; else raise SendFailed with what the status means.

    408, 429 and 503 say that nothing was done. Another 5xx may come after the work was done. 3xx is not followed.
    """
    status = answer.status
    if 200 <= status < 300:
        return
    if status in (408, 425, 429, 503):
        raise SendFailed(f"the other end answered {status}", retry_after_s=retry_after_s(answer, now_s=now_s))
    if status >= 500:
        raise SendFailed(f"the other end answered {status}", maybe_sent=True)
    what = "a redirect, which is not followed" if 300 <= status < 400 else str(status)
    raise SendFailed(f"the other end answered {what}", permanent=True)


def retry_after_s(answer: Answer, *, now_s: float | None = None) -> float | None:
    """Return the seconds Retry-After asks for, given as a number or as a date; None when it says nothing usable."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        then = parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, then - (time.time() if now_s is None else now_s))
