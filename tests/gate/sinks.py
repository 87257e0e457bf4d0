"""Real servers on loopback that record the bytes they get, and break where a test asks for it."""

import datetime
import http.server
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """Write a self-signed certificate for `host`; returns (certificate, key)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        alternative = x509.DNSName(host)
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=20_000))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_path, key_path


def server_tls(folder: Path, host: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(folder, host))
    return context


@dataclass
class Mailbox:
    """A mail server's side: what arrived, and what it answers to the message."""

    port: int
    answer: str = "250 taken"
    arrived: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.answer.startswith("250"):
            self.arrived.append(envelope.original_content)
            self.recipients += envelope.rcpt_tos
        return self.answer


@contextmanager
def mail_server(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, password: str | None = None
) -> Iterator[Mailbox]:
    """Run aiosmtpd on loopback."""
    box = Mailbox(free_port())

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == (password or "").encode(), handled=False)

    options: dict[str, Any] = {"tls_context": starttls, "require_starttls": starttls is not None}
    if password is not None:
        options |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": tls is None}
    controller = Controller(box, hostname="127.0.0.1", port=box.port, ssl_context=tls, **options)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


@dataclass
class Script:
    """A hand-written mail server: answers each line as told, then breaks."""

    port: int
    lines: list[bytes] = field(default_factory=list)
    connections: int = 0


@contextmanager
def broken_mail_server(behave: Callable[[socket.socket, Script], None]) -> Iterator[Script]:
    """Run `behave` for each connection."""
    server = socket.create_server(("127.0.0.1", 0))
    script = Script(server.getsockname()[1])
    server.settimeout(0.2)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                conn, _ = server.accept()
            except TimeoutError:
                continue
            script.connections += 1
            with conn:
                conn.settimeout(5)
                try:
                    behave(conn, script)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        stop.set()
        thread.join()
        server.close()


def smtp_until(stage: str, *, then: str) -> Callable[[socket.socket, Script], None]:
    """Speak SMTP properly until `stage` (greet, mail, rcpt, data, body), then `then`: drop, hang, or an answer line."""

    def behave(conn: socket.socket, script: Script) -> None:
        reader = conn.makefile("rb")
        stages = {b"MAIL": "mail", b"RCPT": "rcpt", b"DATA": "data"}
        if stage == "greet":
            return _break(conn, then)
        conn.sendall(b"220 here\r\n")
        while line := reader.readline():
            script.lines.append(line)
            verb = line[:4].upper()
            if stages.get(verb) == stage:
                return _break(conn, then)
            if verb == b"DATA":
                conn.sendall(b"354 go\r\n")
                while (body := reader.readline()) not in (b".\r\n", b""):
                    script.lines.append(body)
                if stage == "body":
                    return _break(conn, then)
            conn.sendall(b"250 fine\r\n")
        return None

    return behave


def _break(conn: socket.socket, then: str) -> None:
    if then == "hang":
        time.sleep(2.5)
    elif then != "drop":
        conn.sendall(then.encode() + b"\r\n")
        time.sleep(0.1)


@dataclass
class WebSink:
    """A web server's side: requests as (path, headers, body), and the answers to give, last one for ever."""

    port: int
    answers: list[tuple[int, dict[str, str], bytes]]
    arrived: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    behave: str = ""  # "drop": close after reading; "hang": answer too late

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, _, body in self.arrived]


@contextmanager
def web_server(
    *answers: tuple[int, dict[str, str], bytes], behave: str = "", tls: ssl.SSLContext | None = None
) -> Iterator[WebSink]:
    """Run a web server on loopback."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            sink.arrived.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            if sink.behave == "hang":
                time.sleep(2.5)
            if sink.behave:
                self.connection.close()
                return
            status, headers, answer = sink.answers.pop(0) if len(sink.answers) > 1 else sink.answers[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            return

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            return

    server = Quiet(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    sink = WebSink(server.server_address[1], list(answers) or [(200, {}, b"ok")], behave=behave)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
