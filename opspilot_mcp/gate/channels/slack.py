"""Slack: an incoming webhook, or chat.postMessage with a bot token. The body is the signed bytes, untouched.

The Web API client is not used here: it would build the body anew from parsed JSON, and other bytes would leave than
were signed.
"""

import json
from urllib.parse import urlsplit

from opspilot_mcp.gate.channels import Envelope, SendFailed, Wire, secret, web
from opspilot_mcp.gate.channels.web import Answer
from opspilot_mcp.gate.policy import SlackChannel

_PASSING = frozenset({"ratelimited", "rate_limited", "service_unavailable", "request_timeout"})
# Slack reports these after it may have posted.
_DOUBTFUL = frozenset({"internal_error", "fatal_error"})


def send(envelope: Envelope, settings: SlackChannel, wire: Wire) -> str:
    """Post the bytes. Raises SendFailed."""
    if settings.webhook_url_env or settings.webhook_url_file:
        return _by_webhook(envelope, settings, wire)
    return _by_token(envelope, settings, wire)


def _by_webhook(envelope: Envelope, settings: SlackChannel, wire: Wire) -> str:
    url = secret.read(settings.webhook_url_env, settings.webhook_url_file, wire.gate)
    if urlsplit(url).scheme not in ("https", "http") or not url.isascii() or not url.isprintable() or " " in url:
        raise SendFailed("the secret is not the address of an incoming webhook", permanent=True)
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answer = web.post(url, envelope.content, headers, timeout_s=settings.timeout_s, ca_file=settings.ca_file, wire=wire)
    web.judge(answer, now_s=envelope.now / 1000)
    return "Slack took it"


def _by_token(envelope: Envelope, settings: SlackChannel, wire: Wire) -> str:
    token = secret.read(settings.token_env, settings.token_file, wire.gate)
    if not token.isascii() or not token.isprintable():
        raise SendFailed("the Slack token is not printable ASCII", permanent=True)
    headers = {"Content-Type": "application/json; charset=utf-8", "Authorization": f"Bearer {token}"}
    answer = web.post(
        settings.api_url, envelope.content, headers, timeout_s=settings.timeout_s, ca_file=settings.ca_file, wire=wire
    )
    web.judge(answer, now_s=envelope.now / 1000)
    return _posted(answer)


def _posted(answer: Answer) -> str:
    """Read Slack's own verdict: it answers 200 for refusals too."""
    try:
        said = json.loads(answer.body)
        is_ok, error = said.get("ok") is True, str(said.get("error", ""))
        stamp = str(said.get("ts", ""))
    except (ValueError, AttributeError) as wrong:
        raise SendFailed("Slack's answer cannot be read", maybe_sent=True) from wrong
    if is_ok:
        return f"Slack posted it at ts {stamp[:20]}" if stamp.replace(".", "").isdigit() else "Slack posted it"
    if error in _PASSING:
        raise SendFailed("Slack asks for fewer messages", retry_after_s=web.retry_after_s(answer))
    if error in _DOUBTFUL:
        raise SendFailed("Slack reports an error of its own", maybe_sent=True)
    plain = error if error.replace("_", "").isalnum() and len(error) <= 60 and error.isascii() else "an unknown error"
    raise SendFailed(f"Slack refused it: {plain}", permanent=True)
