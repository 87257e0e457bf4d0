"""Which operating-system user is at the other end of a loopback connection: what a stolen cookie cannot bring along.

Browsers send a cookie to every port of a host, so a page that another user of this machine serves on another port of
127.0.0.1 receives the console's. The kernel knows who owns the socket that connects here, and tells everybody.
"""

import socket
import struct
import sys
from pathlib import Path

Address = tuple[str, int]

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"
_MAPPED = "0000000000000000FFFF0000"  # an IPv4 address inside an IPv6 socket, as the kernel writes it


def user_of(client: Address, server: Address) -> int | None:
    """Return the user id that owns the socket at `client`, connected to `server`; None where that cannot be told.

    Source: Linux, Documentation/networking/proc_net_tcp.rst. Other systems do not tell.
    """
    if sys.platform != "linux":
        return None
    ends = _written(client), _written(server)
    for table in _TABLES:
        try:
            lines = table.read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        for line in lines:
            fields = line.split(maxsplit=8)
            if len(fields) > 7 and fields[3] == _ESTABLISHED and _ends(fields) == ends:
                return int(fields[7])
    return None


def _ends(fields: list[str]) -> tuple[str, str]:
    return fields[1].removeprefix(_MAPPED), fields[2].removeprefix(_MAPPED)


def _written(address: Address) -> str:
    """Return an address as the kernel's table writes it: the IPv4 number in this machine's byte order."""
    host, port = address
    return f"{struct.unpack('=I', socket.inet_aton(host))[0]:08X}:{port:04X}"
