"""The shapes of keys and tokens that issuers document: anchored patterns, not guesses from randomness.

One copy for both sides: the gate keeps them out of what leaves, `masking` out of what a language model reads.
"""

import re

SHAPES: dict[str, str] = {
    "an AWS access key": r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}",
    "an AWS secret key": r"(?i:aws.{0,20}secret.{0,20})[=:\s\"']{1,5}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])",
    "a Slack token": r"xox[abeoprs](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}|xapp-\d-[A-Za-z0-9-]{10,}",
    "a Slack webhook": r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{16,}",
    "a GitHub token": r"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,}",
    "a GitLab token": r"gl(?:pat|dt|rt|ptt|cbt)-[A-Za-z0-9_-]{20,}",
    "a Stripe key": r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}",
    "a webhook secret": r"whsec_[A-Za-z0-9+/=]{20,}",
    "a JSON web token": r"eyJ[A-Za-z0-9_-]{8,600}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    "a private key": r"-----BEGIN[ A-Z0-9]{0,30}PRIVATE KEY(?: BLOCK)?-----",
    "a database address with a password": (
        r"(?i:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?|amqps?|mssql|oracle|clickhouse)"
        r"(?:\+\w{1,20})?://[^\s:/@]{0,100}:[^\s@]{1,200}@(?=[\w.\[-])"
    ),
    "an address with a password": r"(?i:https?|ftps?|ssh|sftp)://[^\s:/@]{1,100}:[^\s/@]{1,200}@(?=[\w.\[-])",
    "a Google API key": r"AIza[0-9A-Za-z_-]{35}",
    "a Google OAuth secret": r"GOCSPX-[A-Za-z0-9_-]{20,}",
    "an Anthropic key": r"sk-ant-[A-Za-z0-9_-]{20,}",
    "an OpenAI key": r"sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{32,}",
    "a SendGrid key": r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "an npm token": r"npm_[A-Za-z0-9]{36}",
    "a PyPI token": r"pypi-AgE[A-Za-z0-9_-]{30,}",
    "a Twilio key": r"(?:SK|AC)[0-9a-f]{32}",
    "a DigitalOcean token": r"do[opr]_v1_[a-f0-9]{64}",
    "an Azure storage key": r"AccountKey=[A-Za-z0-9+/]{80,}={0,2}",
    "a HashiCorp Vault token": r"hvs\.[A-Za-z0-9_-]{24,}",
}
CLEAR = {name: re.compile(rf"(?<![A-Za-z0-9_])(?:{shape})") for name, shape in SHAPES.items()}
# A password, key or token told in words; the group is its value.
TOLD = re.compile(
    r"(?i)\b(?:pass(?:word|phrase|wd)?|pwd|api[ _-]?key|secret|access[ _-]?token|auth[ _-]?token|pin)"
    r"\s*(?:is|=|:|->)\s*[\"'`]?(\S{6,})"
)
