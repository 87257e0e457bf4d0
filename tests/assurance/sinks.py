"""Every kind of sink at once, on loopback, recording bytes."""

import base64
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.gate.sinks import Mailbox, WebSink, mail_server, web_server

HOOK_SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


@dataclass
class Sinks:
    """A mail server, a Slack incoming webhook and a signed webhook."""

    mail: Mailbox
    slack: WebSink
    hook: WebSink

    @property
    def slack_url(self) -> str:
        return f"http://127.0.0.1:{self.slack.port}/services/T/B/x"

    @property
    def arrived(self) -> list[bytes]:
        return [*self.mail.arrived, *self.slack.bodies, *self.hook.bodies]

    @property
    def settings(self) -> str:
        """The gate.toml that leads `replies`, `oncall` and `hook` here."""
        ports = (self.mail.port, self.slack.port, self.hook.port)
        private = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
        return (
            f'sender = "support@example.org"\n[network]\nallow_private = [{private}]\n[limits]\nper_hour = 10000\n'
            f'[channels.replies]\nkind = "smtp"\nhost = "127.0.0.1"\nport = {self.mail.port}\ntls = "none"\n'
            'timeout_s = 2\n[channels.oncall]\nkind = "slack"\nwebhook_url_env = "OPSPILOT_GATE_SLACK"\ntimeout_s = 2\n'
            f'[channels.hook]\nkind = "webhook"\nurl = "http://127.0.0.1:{self.hook.port}/in"\n'
            'secret_env = "OPSPILOT_GATE_HOOK"\ntimeout_s = 2\n[channels.filed]\nkind = "file"\n'
        )


@contextmanager
def open_sinks() -> Iterator[Sinks]:
    """Run all three."""
    with ExitStack() as stack:
        yield Sinks(
            stack.enter_context(mail_server()), stack.enter_context(web_server()), stack.enter_context(web_server())
        )
