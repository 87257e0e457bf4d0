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

Kind = Literal["fault", "symptom", "deviation", "routine", "other"]
RANKS = {"info": 0, "warning": 1, "error": 2, "critical": 3}
SEVERITY_OF = {rank: name for name, rank in RANKS.items()}
PRINT_SEPARATOR = "\x1f"  # parts of a fingerprint; cleaned out of every stranger's text
SUMMARY_READ = 300
LONGEST_DELAY_MS = 24 * 3_600_000
EARLIEST_LEAD_MS = 10 * 60_000

# Detectors name the metric and its direction; rules are named by people, in words.
_RAW_METRIC = re.compile(
    r"^[a-z0-9]+(?:[._/:\-][A-Za-z0-9._/:\-]+)*[:_](?:up|down|high|low)$|^[a-z0-9]+(?:[._][a-z0-9]+){2,}$"
)
# The words below are what rule collections in wide use call things (kube-prometheus, node, blackbox, database and queue
# exporters, CloudWatch, Zabbix templates); they are matched on the name without case, blanks and signs.
_ROUTINE = re.compile(
    r"batch|cron|nightly|backup|job(?:slow|duration|late|runtime)|drift|forecast|predict.*days|heartbeatflap|gcpause"
    r"|logvolume|(?:expir(?:y|es|ing)|renewal)soon|willexpire|inventory|digest|watchdog|deadmansswitch"
)
_FAULT = re.compile(
    r"crash|oom|outofmemory|killed|panic|segfault|coredump|backoff|restart|evict|notready|unreachable|heartbeatlost"
    r"|(?:node|host|instance|pod|container|target|server|replica|member|broker|database|db|link|interface|agent|kubelet"
    r"|exporter|primary|disk|volume|endpoint)s?(?:is)?(?:down|unavailable|silent|lost|missing|gone|offline|fail)"
    r"|(?:disk|volume|inode|filesystem|storage)s?(?:will|is)?(?:almost)?(?:full|fill|io|press|readonly|outof|space)"
    r"|nospace|outof(?:disk|space|inodes)|iosaturat|expired|certificate(?!expirysoon)|x509|throttl|ratelimit|429|quota"
    r"|limitexceeded|rollout|deploy|release|canary|migration|unseen|new(?:error|exception)|firstseen|regression"
    r"|slowquer|lockwait|waitforalock|deadlock|(?:postgres|mysql|db|database|redis|sql)connections"
    r"|connections?(?:satur|exhaust|limit|pool|inuse)|toomanyconnections|replica(?:tion)?lag|replication|failover"
    r"|splitbrain|quorum|noleader|leaderlost|underreplicated|offlinepartition|packetloss|retransmit|bgp|nxdomain|dnsfail"
    r"|highcpu|cpu(?:high|satur|steal)|memory(?:press|high|leak)|highmemory|heap|kernel|hardware|raid|temperature"
    r"|powersupply|misconfig|configerror|reloadfail|hasnotanswered"
)
_SYMPTOM = re.compile(
    r"latenc|error|5xx|4xx|timeout|timesout|backlog|queue|wait|pending|slo(?!w)|burn|budget|apdex|exception|sentry"
    r"|unavailab|availability|responsetime|upstream|dependency|fail|successrate|traffic|throughput|lag|slow|degraded"
    r"|reject|dropped|retries|stuck|delay|p9[059]"
)
_GONE = re.compile(
    r"down|notready|unreachable|absent|evict|lost|silent|missing|gone|offline|(?:pod|container|instance|replica)s?unavailable"
)
_PLANNED = re.compile(r"replica|lag$|leader|quorum|failover|restart|outofsync|reconnect|reboot|drain|cordon")
_SHARED = re.compile(r"certificate|tls|x509|expired|dns|license|token")
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
    mentions: tuple[str, ...]  # other services its words name


def _squashed(alertname: str) -> str:
    return re.sub(r"[^a-z0-9]", "", alertname.lower())


@lru_cache(maxsize=20_000)
def kind_of(alertname: str) -> Kind:
    """Return what the alert's name states."""
    if _RAW_METRIC.match(alertname):
        return "deviation"
    squashed = _squashed(alertname)
    if _ROUTINE.search(squashed):
        return "routine"
    if _FAULT.search(squashed):
        return "fault"
    return "symptom" if _SYMPTOM.search(squashed) else "other"


@lru_cache(maxsize=20_000)
def kind_of_text(summary: str) -> Kind:
    """Return what the words of an alert state whose name states nothing."""
    squashed = _squashed(summary)
    if _FAULT.search(squashed):
        return "fault"
    return "symptom" if _SYMPTOM.search(squashed) else "other"


@lru_cache(maxsize=20_000)
def is_gone(alertname: str) -> bool:
    """Whether the alert says that something is not there at all, which the loss of its host explains."""
    return _GONE.search(_squashed(alertname)) is not None


@lru_cache(maxsize=20_000)
def is_planned(alertname: str) -> bool:
    """Whether planned work on a host explains such an alert of an instance there: gone, restarted or out of step."""
    return is_gone(alertname) or _PLANNED.search(_squashed(alertname)) is not None


@lru_cache(maxsize=20_000)
def is_shared(alertname: str) -> bool:
    """Whether one cause of this kind typically hits services that share nothing on the map (a certificate, DNS)."""
    return _SHARED.search(_squashed(alertname)) is not None


@lru_cache(maxsize=10_000)  # alerts repeat, and three hashes were a third of reading one
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
    if kind == "other":
        kind = kind_of_text(summary[:SUMMARY_READ])
    if alert.change and kind in ("symptom", "other"):
        kind = "fault"  # who names the change names the cause
    return Signal(
        alert.id, alert.arr_ms if skewed else alert.ts_ms, alert.arr_ms, subject.entity, subject.service,
        subject.instance, subject.host, subject.known, kind, alert.alertname, fingerprint,
        words_hash(fingerprint + summary), words_hash(summary), words_hash(quoted.group(1)) if quoted else None,
        RANKS[alert.severity], alert.status == "firing", alert.change, skewed,
        topology.mentions(summary[:SUMMARY_READ], subject.entity) if kind == "symptom" else (),
    )  # fmt: skip
