"""Mail over SMTP with verified TLS. Each step is taken by hand, because what a failure means depends on the step.

Before the last line of the message is out, nothing was accepted. After it, only a clear refusal means "not sent".
"""

import smtplib
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from opspilot_mcp.gate.channels import Envelope, SendFailed, Wire, secret, web
from opspilot_mcp.gate.channels.deadline import LONGEST_S, cut_after
from opspilot_mcp.gate.policy import SmtpChannel

_READY = 220
_ACCEPTED = 250
_START = 354

T = TypeVar("T")


def send(envelope: Envelope, settings: SmtpChannel, wire: Wire) -> str:
    """Deliver the bytes to the mail server. Raises SendFailed."""
    if settings.tls == "none" and f"{settings.host}:{settings.port}" not in wire.allow_private:
        raise SendFailed('tls = "none" needs the server in [network] allow_private', permanent=True)
    context = web.tls(settings.ca_file, wire)
    raw = _step("connect", lambda: socket.create_connection((settings.host, settings.port), settings.timeout_s))
    with cut_after(raw, LONGEST_S):
        server = _step("connect", lambda: _greet(raw, settings, context))
        try:
            _log_in(server, settings, wire)
            _address(server, envelope)
            return _deliver(server, envelope.content)
        finally:
            server.close()  # no QUIT: its failure could say nothing about the message any more


def _greet(raw: socket.socket, settings: SmtpChannel, tls: ssl.SSLContext) -> smtplib.SMTP:
    """Return a greeted connection over `raw`, encrypted unless the operator named this server as private and plain.

    smtplib would connect by itself and greet before anybody holds the socket: it could not be cut off then.
    """
    server = smtplib.SMTP(local_hostname="localhost", timeout=settings.timeout_s)
    # The name STARTTLS checks the certificate against; smtplib keeps no public place for it.
    server._host = settings.host  # type: ignore[attr-defined]
    try:
        server.sock = tls.wrap_socket(raw, server_hostname=settings.host) if settings.tls == "tls" else raw
        code, said = server.getreply()
        if code != _READY:
            raise smtplib.SMTPConnectError(code, said)
        if settings.tls == "starttls":
            server.starttls(context=tls)
    except BaseException:
        raw.close()
        server.close()
        raise
    return server


def _log_in(server: smtplib.SMTP, settings: SmtpChannel, wire: Wire) -> None:
    if settings.username is None:
        return
    password = secret.read(settings.password_env, settings.password_file, wire.gate)
    try:
        _step("log in", lambda: server.login(settings.username or "", password))
    except SendFailed as failure:
        raise SendFailed(f"{failure}; check username and password", permanent=failure.permanent) from None


def _address(server: smtplib.SMTP, envelope: Envelope) -> None:
    _step("greet", server.ehlo_or_helo_if_needed)
    for step, command in (
        ("sender", lambda: server.mail(envelope.sender)),
        ("recipient", lambda: server.rcpt(envelope.recipient)),
    ):
        code, _ = _step(step, command)
        if code not in (_ACCEPTED, 251):
            raise SendFailed(f"the mail server refused the {step} with {code}", permanent=code >= 500)


def _deliver(server: smtplib.SMTP, content: bytes) -> str:
    code, _ = _step("data", lambda: server.docmd("DATA"))
    if code != _START:
        raise SendFailed(f"the mail server refused to take data with {code}", permanent=code >= 500)
    try:
        server.send(_dotted(content))
        code, _ = server.getreply()
    except (OSError, smtplib.SMTPException) as error:
        raise SendFailed(f"the connection broke in the message ({type(error).__name__})", maybe_sent=True) from error
    if code != _ACCEPTED:
        # RFC 5321 4.2: a 4xx or 5xx after the data means that the server has not taken the message.
        raise SendFailed(f"the mail server refused the message with {code}", permanent=code >= 500)
    return "the mail server took it"


def _dotted(content: bytes) -> bytes:
    """Return the bytes as they go over the line (RFC 5321 4.5.2): a leading dot doubled, ended by a lone dot."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    stuffed = b"." + stuffed if stuffed.startswith(b".") else stuffed
    return stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n"


def _step(name: str, work: Callable[[], T]) -> T:
    """Run a step before the message: whatever goes wrong here, nothing was sent."""
    try:
        return work()
    except ssl.SSLCertVerificationError as error:
        raise SendFailed("the mail server's certificate is not valid for its name", permanent=True) from error
    except smtplib.SMTPNotSupportedError as error:
        raise SendFailed(f"the mail server cannot do what {name} needs", permanent=True) from error
    except smtplib.SMTPResponseException as error:
        raise SendFailed(
            f"the mail server refused to {name} with {error.smtp_code}", permanent=error.smtp_code >= 500
        ) from error
    except ValueError as error:  # such as a password that is not ASCII, which smtplib cannot say
        raise SendFailed(f"the mail server could not be asked to {name} ({type(error).__name__})") from error
    except (OSError, smtplib.SMTPException) as error:
        raise SendFailed(f"no answer from the mail server: {name} ({type(error).__name__})") from error
