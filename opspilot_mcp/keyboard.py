"""Questions a person answers at a terminal: Ctrl-C ends them at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ends_with_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt while an answer is typed.

    asyncio only notes the first Ctrl-C and cancels its task later: a question that blocks would wait on for Enter.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
