"""The end of a send: a server that answers byte by byte would hold its sender, and the message, past the lease."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# From connecting to the last answer. A time limit on each read is no limit on their number.
LONGEST_S = 100.0


@contextmanager
def cut_after(raw: socket.socket, seconds: float) -> Iterator[None]:
    """Break a connection off once its time is up, whatever TLS was laid over it since."""
    spare = raw.dup()  # wrapping a socket takes its own handle away
    timer = threading.Timer(seconds, _cut, [spare])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        spare.close()


def _cut(spare: socket.socket) -> None:
    with suppress(OSError):  # the other end was faster
        spare.shutdown(socket.SHUT_RDWR)
