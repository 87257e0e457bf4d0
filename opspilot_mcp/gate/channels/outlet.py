"""From an alias to its channel: the one place that knows them all."""

from opspilot_mcp.gate.channels import Envelope, Wire, file, slack, smtp, webhook
from opspilot_mcp.gate.policy import FileChannel, SlackChannel, SmtpChannel, WebhookChannel

Settings = FileChannel | SmtpChannel | SlackChannel | WebhookChannel


def is_idempotent(settings: Settings) -> bool:
    """Whether sending the same message twice arrives once, so that a doubtful try may be repeated."""
    match settings:
        case FileChannel():
            return True
        case WebhookChannel():
            return settings.idempotent
        case _:
            return False


def send(envelope: Envelope, settings: Settings, wire: Wire) -> str:
    """Send through the channel the settings describe. Raises SendFailed."""
    match settings:
        case FileChannel():
            return file.send(envelope, settings, wire)
        case SmtpChannel():
            return smtp.send(envelope, settings, wire)
        case SlackChannel():
            return slack.send(envelope, settings, wire)
        case WebhookChannel():
            return webhook.send(envelope, settings, wire)
