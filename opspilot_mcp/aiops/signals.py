"""What an alert says about itself, read once: the class of its name, its fingerprint, the words it quotes.

Rules that people name state something: a fault ("OOMKilled") names a cause where it stands, a symptom
("HighLatencyP99") names harm that may have its cause elsewhere. A raw metric that an anomaly detector saw move claims
neither, and a name that says nothing ("BatchJobSlow") is left as it is.
"""

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Literal, NamedTuple

from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.aiops.topology import Topology

Kind = Literal["fault", "symptom", "deviation", "other"]
RANKS = {"info": 0, "warning": 1, "error": 2, "critical": 3}
SEVERITY_OF = {rank: name for name, rank in RANKS.items()}
PRINT_SEPARATOR = "\x1f"  # parts of a fingerprint; cleaned out of every stranger's text
LONGEST_DELAY_MS = 24 * 3_600_000
EARLIEST_LEAD_MS = 10 * 60_000

# Detectors name the metric and its direction; rules are named by people, in words.
_RAW_METRIC = re.compile(
    r"^[a-z0-9]+(?:[._/:\-][A-Za-z0-9._/:\-]+)*[:_](?:up|down|high|low)$|^[a-z0-9]+(?:[._][a-z0-9]+){2,}$"
)
_FAULT = re.compile(
    r"crash|oom|killed|notready|(?:node|host|instance|pod|target|server|disk|link|interface|replica|database|db)s?down"
    r"|disk(?:will|full|fill|io|press|fail)|nospace|outofspace|iosaturat|expired|throttl|ratelimit|429|quota|rollout"
    r"|deploy|release|slowquer|connections?(?:satur|exhaust|limit|pool)|packetloss|retransmit|highcpu|cpu(?:high|satur)"
    r"|memory(?:press|high|leak)|highmemory|evict|restart|failover|replication|deadlock|unreachable|heartbeatlost"
    r"|splitbrain|kernel|hardware|raid|volume(?:full|fill)|misconfig"
)
_SYMPTOM = re.compile(
    r"latenc|error|5xx|4xx|timeout|backlog|queue|slo(?!w)|burn|apdex|exception|sentry|unavailab|availability"
    r"|responsetime|upstream|failedrequest|successrate|traffic|throughput|lag$|slow(?:request|response)|p9[059]"
)
_GONE = re.compile(r"down|notready|unreachable|absent|evict|heartbeatlost")
_SHARED = re.compile(r"certificate|tls|expired|dns|license|token")
_QUOTED = re.compile(r'"([^"]{8,300})"')


class Signal(NamedTuple):
    """Everything the engine needs of one alert, worked out once and flat, so that it exports to a JSON list."""

    alert_id: str
    ts_ms: int  # event time, or arrival where the event time cannot be true
    arr_ms: int
    entity: str
    service: str | None
    instance: str | None
    host: str | None
    known: bool  # the entity stands in the topology
    kind: Kind
    name: str
    fingerprint: str
    text: int  # hash of fingerprint and summary: equal for one alert that is told again
    said: int  # hash of the summary alone
    quotes: int | None  # hash of the words it repeats from another alert's summary
    rank: int  # severity, 0 info to 3 critical
    firing: bool
    change: str | None
    skewed: bool  # the event time was not believed


def _squashed(alertname: str) -> str:
    return re.sub(r"[^a-z0-9]", "", alertname.lower())


@lru_cache(maxsize=20_000)
def kind_of(alertname: str) -> Kind:
    """Return what the alert's name states."""
    if _RAW_METRIC.match(alertname):
        return "deviation"
    squashed = _squashed(alertname)
    if _FAULT.search(squashed):
        return "fault"
    return "symptom" if _SYMPTOM.search(squashed) else "other"


@lru_cache(maxsize=20_000)
def is_gone(alertname: str) -> bool:
    """Whether the alert says that something is not there at all, which the loss of its host explains."""
    return _GONE.search(_squashed(alertname)) is not None


@lru_cache(maxsize=20_000)
def is_shared(alertname: str) -> bool:
    """Whether one cause of this kind typically hits services that share nothing on the map (a certificate, DNS)."""
    return _SHARED.search(_squashed(alertname)) is not None


def words_hash(text: str) -> int:
    """Return a 63-bit hash that is the same in every process and fits a database's integer."""
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big") >> 1


def read(alert: Alert, topology: Topology) -> Signal:
    """Return the alert with its subject, class and fingerprint.

    An event time over a day before arrival or ten minutes after it is a broken clock: arrival counts instead.
    """
    subject = topology.subject(alert)
    skewed = not -EARLIEST_LEAD_MS <= alert.arr_ms - alert.ts_ms <= LONGEST_DELAY_MS
    summary = alert.summary
    quoted = _QUOTED.search(summary[:600]) if '"' in summary else None
    fingerprint = PRINT_SEPARATOR.join((subject.entity, subject.instance or "", alert.alertname, alert.source))
    if alert.labels:
        fingerprint += f"{PRINT_SEPARATOR}{words_hash(repr(sorted(alert.labels.items()))):x}"
    kind = kind_of(alert.alertname)
    if alert.change and kind == "symptom":
        kind = "fault"  # who names the change names the cause
    return Signal(
        alert.id, alert.arr_ms if skewed else alert.ts_ms, alert.arr_ms, subject.entity, subject.service,
        subject.instance, subject.host, subject.known, kind, alert.alertname, fingerprint,
        words_hash(fingerprint + summary), words_hash(summary), words_hash(quoted.group(1)) if quoted else None,
        RANKS[alert.severity], alert.status == "firing", alert.change, skewed,
    )  # fmt: skip
