"""`gate.toml`: where an alias leads, how long a signature lasts, how much may leave in an hour.

The desk knows alias names only. Secrets are not in this file: a channel names the environment variable or the
0600 file that holds its secret, and only the dispatcher looks there.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from opspilot_mcp.clock import MINUTE_MS
from opspilot_mcp.errors import BadSetting, InvalidInput, first_fault, quoted
from opspilot_mcp.gate import canonical

Alias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
EnvName = Annotated[str, StringConstraints(pattern=r"^OPSPILOT_GATE_[A-Z0-9_]{1,60}$")]
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:_-]{1,253}$")]
Address = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+$", max_length=254)
]
_HEADER = re.compile(r"[A-Za-z0-9-]{1,60}")
_TAKEN_NAMES = (
    "content-type content-length host authorization webhook-id webhook-timestamp webhook-signature idempotency-key "
    "connection transfer-encoding"
)
_TAKEN = frozenset(_TAKEN_NAMES.split())

DEFAULT_TEXT = """\
# What the gate may do. Secrets do not belong here: name a variable (OPSPILOT_GATE_...) or a 0600 file instead.
# docs/gate.md explains every key.

[channels.replies]
kind = "file"

[channels.oncall]
kind = "file"
"""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ApprovalPart(_Part):
    """How long a signature lasts, and how long a person can still call the message back."""

    expires_minutes: int = Field(default=240, ge=1, le=10_080)
    undo_seconds: int = Field(default=30, ge=0, le=3600)


class LimitsPart(_Part):
    """How much may leave."""

    per_hour: int = Field(default=60, ge=1, le=100_000)
    tries: int = Field(default=8, ge=1, le=50)


class RiskPart(_Part):
    """What is ours: never flagged as another customer's or as a first-seen host."""

    own_hosts: tuple[Host, ...] = ()
    own_details: tuple[str, ...] = ()


class NetworkPart(_Part):
    """Private destinations a webhook or mail channel may reach, as `host:port`."""

    allow_private: tuple[Host, ...] = ()


class FileChannel(_Part):
    """Writes the message into the gate's `sent` folder."""

    kind: Literal["file"]


class SmtpChannel(_Part):
    """A mail server, with verified TLS. `tls = "none"` is for a server named in `[network] allow_private`."""

    kind: Literal["smtp"]
    host: Host
    port: int = Field(default=587, ge=1, le=65_535)
    to: Address | None = None  # whom pages go to; a reply goes to its requester
    tls: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = Field(default=None, max_length=320)
    password_env: EnvName | None = None
    password_file: str | None = None
    ca_file: str | None = None
    timeout_s: int = Field(default=20, ge=1, le=60)


class SlackChannel(_Part):
    """An incoming webhook (its URL is the secret), or a bot token with the id of a channel."""

    kind: Literal["slack"]
    webhook_url_env: EnvName | None = None
    webhook_url_file: str | None = None
    token_env: EnvName | None = None
    token_file: str | None = None
    channel_id: Annotated[str, StringConstraints(pattern=r"^[CGD][A-Z0-9]{5,20}$")] | None = None
    api_url: str = "https://slack.com/api/chat.postMessage"
    ca_file: str | None = None
    timeout_s: int = Field(default=20, ge=1, le=60)

    @model_validator(mode="after")
    def _one_way(self) -> "SlackChannel":
        hook = bool(self.webhook_url_env or self.webhook_url_file)
        token = bool(self.token_env or self.token_file)
        if hook == token:
            raise ValueError("needs webhook_url_env (or _file), or token_env (or _file) with channel_id")
        if token and not self.channel_id:
            raise ValueError("needs channel_id beside the token")
        return self


class WebhookChannel(_Part):
    """A signed POST (Standard Webhooks). `idempotent` says the receiver drops a repeated `webhook-id`."""

    kind: Literal["webhook"]
    url: str
    secret_env: EnvName | None = None
    secret_file: str | None = None
    headers: dict[str, str] = {}
    idempotent: bool = False
    ca_file: str | None = None
    timeout_s: int = Field(default=20, ge=1, le=60)

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.fragment:
            raise ValueError("must be an https:// address without user name or fragment")
        if parts.port == 0:  # one past 65,535 raises ValueError here
            raise ValueError("must name a port from 1 to 65535")
        if not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError("must be ASCII without blanks")
        return value

    @field_validator("headers")
    @classmethod
    def _are_plain(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _HEADER.fullmatch(name) or name.lower() in _TAKEN or not (text.isascii() and text.isprintable()):
                raise ValueError(f"may not set {quoted(name)}")
        return value

    @model_validator(mode="after")
    def _has_a_secret(self) -> "WebhookChannel":
        if not (self.secret_env or self.secret_file):
            raise ValueError("needs secret_env or secret_file: every webhook is signed")
        return self


Channel = Annotated[FileChannel | SmtpChannel | SlackChannel | WebhookChannel, Field(discriminator="kind")]


class GatePolicy(_Part):
    """Everything the gate's operator decides."""

    sender: Address = "support@localhost"
    sender_name: str = Field(default="Support", min_length=1, max_length=80)
    approval: ApprovalPart = ApprovalPart()
    limits: LimitsPart = LimitsPart()
    risk: RiskPart = RiskPart()
    network: NetworkPart = NetworkPart()
    channels: dict[Alias, Channel] = {"replies": FileChannel(kind="file"), "oncall": FileChannel(kind="file")}

    @property
    def expires_ms(self) -> int:
        return self.approval.expires_minutes * MINUTE_MS

    def undo_ms(self, kind: str) -> int:
        """Return how long an approved message waits for a second thought; none for a file, which can be deleted."""
        return 0 if kind == "file" else self.approval.undo_seconds * 1000

    def channel(self, alias: str) -> FileChannel | SmtpChannel | SlackChannel | WebhookChannel:
        """Return where an alias leads. Raises InvalidInput when no channel has that name."""
        found = self.channels.get(alias)
        if found is None:
            raise InvalidInput(f"gate.toml has no channel {quoted(alias)}. Add [channels.NAME] or propose another.")
        return found

    def destination_sha256(self, alias: str) -> str:
        """Return the digest of the alias's settings and the sender: a signature does not outlive a change of them."""
        settings = self.channel(alias).model_dump(exclude={"timeout_s"})
        return canonical.sha256(canonical.text({**settings, "alias": alias, "sender": self.sender}).encode())


def load(path: Path) -> GatePolicy:
    """Return the policy in `path`, or the defaults where there is no file. Raises BadSetting naming the key."""
    try:
        return GatePolicy.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return GatePolicy()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSetting(f"{path.name} is not TOML in UTF-8: {error}. Correct that line.") from None
    except ValidationError as error:
        where, says = first_fault(error)
        key = ".".join(map(str, where)) or "the file"
        raise BadSetting(f"{path.name}: {key} {says}. Correct or remove it.") from None
    except OSError as error:
        raise BadSetting(f"Cannot read {path}: {error.strerror}. Check its owner and mode.") from error
