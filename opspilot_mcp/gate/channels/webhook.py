"""A signed POST after the Standard Webhooks specification, with an idempotency key that every try repeats.

Source: standardwebhooks.com, specification 1.0: HMAC-SHA256 over `id.timestamp.body`.
"""

import base64
import binascii
import hashlib
import hmac

from opspilot_mcp.gate.channels import Envelope, SendFailed, Wire, secret, web
from opspilot_mcp.gate.policy import WebhookChannel


def send(envelope: Envelope, settings: WebhookChannel, wire: Wire) -> str:
    """Post the bytes with their signature. Raises SendFailed."""
    key = _key(secret.read(settings.secret_env, settings.secret_file, wire.gate))
    stamp = envelope.now // 1000
    headers = {
        **settings.headers,
        "Content-Type": "application/json",
        "webhook-id": envelope.event_id,
        "webhook-timestamp": str(stamp),
        "webhook-signature": signature(key, envelope.event_id, stamp, envelope.content),
        "Idempotency-Key": envelope.event_id,
    }
    answer = web.post(
        settings.url, envelope.content, headers, timeout_s=settings.timeout_s, ca_file=settings.ca_file, wire=wire
    )
    web.judge(answer, now_s=envelope.now / 1000)
    return f"the webhook answered {answer.status}"


def signature(key: bytes, event_id: str, stamp_s: int, content: bytes) -> str:
    """Return the `v1,...` signature of one try."""
    signed = f"{event_id}.{stamp_s}.".encode() + content
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 24 <= len(key) <= 64:
        raise SendFailed("the webhook secret is not base64 of 24 to 64 bytes (whsec_...)", permanent=True)
    return key
