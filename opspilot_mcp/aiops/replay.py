"""Run recorded alerts through the engine in arrival order, without touching the desk.

The same engine, parameters and sentences as the live desk; only the storage is left out. A `truth` field is never read.
"""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opspilot_mcp.aiops import formats, storm_svg, topology_files
from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.aiops.correlation import Engine, Placement, View, view_of
from opspilot_mcp.aiops.history import History
from opspilot_mcp.aiops.incident_state import Incident, Reason, oldest_first
from opspilot_mcp.aiops.regroup import end_of
from opspilot_mcp.aiops.topology import Topology
from opspilot_mcp.clock import MAX_MS
from opspilot_mcp.errors import InvalidInput, OpsPilotError
from opspilot_mcp.store.files import check_target

MAX_LINE_CHARS = 4_000_000
PROGRESS_EVERY = 5_000
REFUSED_SHOWN = 20

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a replay came to. Reduction is never told without what pages and what was left out."""

    alerts: int
    duplicates: int
    incidents: int
    pages: int
    joined: int
    suppressed: Mapping[str, int]  # why -> alerts
    merged: int
    refused: tuple[tuple[int, str], ...]  # (line, why), the first few
    refused_count: int


@dataclass(slots=True)
class _Run:
    """What one replay gathers on its way."""

    topology: Topology
    history: History = field(default_factory=History)
    placed: dict[str, Placement] = field(default_factory=dict)
    dots: list[tuple[int, str, str]] = field(default_factory=list)  # (ts_ms, entity, alert id)
    into: dict[str, str] = field(default_factory=dict)  # merged: loser -> survivor
    views: dict[str, View] = field(default_factory=dict)
    refused: list[tuple[int, str]] = field(default_factory=list)
    duplicates: int = 0

    def close(self, incident: Incident) -> None:
        view = view_of(incident, self.topology, self.history)
        self.history.learn(incident.cluster, [(place, name) for place, name, _ in view.symptoms])
        self.views[incident.key] = view._replace(symptoms=())


def replay(
    alerts: Path,
    topology: Path,
    *,
    out: Path,
    incidents: Path | None = None,
    html: Path | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Correlate a file of canonical alert lines (.jsonl or .jsonl.gz) and write where each alert went.

    `out` gets one line an alert in order of arrival, `incidents` one line an incident, `html` the storm as a picture.
    Raises InvalidInput when a file cannot be read; a bad line is counted and told, never a crash.
    """
    for target in (out, incidents, html):
        if target is not None:
            check_target(target)
    run = _Run(Topology.from_json(topology_files.read(topology)))
    engine = Engine(run.topology, on_close=run.close)
    for count, alert in enumerate(_alerts(alerts, run), 1):
        _take(engine, alert, run)
        if progress is not None and count % PROGRESS_EVERY == 0:
            progress(count)
    for incident in oldest_first(engine.open_incidents()):
        run.close(incident)
    _write_lines(out, _lines(run))
    if incidents is not None:
        _write_lines(incidents, [_incident_line(view) for view in run.views.values()])
    if html is not None:
        html.write_text(_picture(run), encoding="utf-8")
    return _summary(run)


def _alerts(path: Path, run: _Run) -> Iterator[Alert]:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    alert = _alert(number, line, run)
                    if alert is not None:
                        yield alert
    except (OSError, EOFError) as error:
        raise InvalidInput(f"The alerts cannot be read ({type(error).__name__}). Check the file.") from None


def _alert(number: int, line: bytes, run: _Run) -> Alert | None:
    try:
        if len(line) > MAX_LINE_CHARS:
            raise InvalidInput(f"The line has over {MAX_LINE_CHARS:,} characters. Leave its labels out.")
        body = json.loads(line)
        if not isinstance(body, dict):
            raise InvalidInput("The line is not a JSON object. Write one alert a line.")
        if body.get("arr") is None:
            body["arr"] = body.get("ts")
        return formats.canonical(body, now_ms=MAX_MS)
    except OpsPilotError as error:
        run.refused.append((number, str(error)))
    except (ValueError, RecursionError):
        run.refused.append((number, "The line is not JSON. Write one alert a line."))
    return None


def _take(engine: Engine, alert: Alert, run: _Run) -> None:
    if alert.id in run.placed:
        run.duplicates += 1
        return
    placed = engine.receive(alert)
    run.into.update(placed.merged)
    run.placed[alert.id] = placed._replace(revised=())
    for one in placed.revised:
        run.placed[one.alert_id] = one
    run.dots.append((alert.ts_ms, run.topology.subject(alert).entity, alert.id))


def _lines(run: _Run) -> list[dict[str, Any]]:
    """One line an alert, in order of arrival, with the incidents that are left at the end."""
    started: set[str] = set()
    lines = []
    for placed in run.placed.values():
        key = None if placed.incident_key is None else end_of(placed.incident_key, run.into)
        also = dict.fromkeys(end_of(other, run.into) for other in placed.also_explained_by)
        why = _final_reason(placed, key, is_first=key not in started)
        if key is not None:
            started.add(key)
        lines.append(
            {
                "alert_id": placed.alert_id,
                "incident_id": key,
                "reason": why._asdict(),
                "also_explained_by": [other for other in also if other != key],
                "suppressed": placed.suppressed,
            }
        )
    return lines


def _final_reason(placed: Placement, key: str | None, *, is_first: bool) -> Reason:
    """The reason as it stands at the end: who opened an incident may be neither its first alert nor still its head."""
    why = placed.reason
    if why.kind != "opened" or (is_first and key == placed.incident_key):
        return why
    if key != placed.incident_key:
        text = "It opened an incident that turned out to be part of this one."
        return Reason("merged", why.entity, None, None, None, text)
    text = f"It opened this incident, at {why.entity}; earlier alerts that it explains better were moved here."
    return Reason("opened_late", why.entity, None, None, None, text)


def _incident_line(view: View) -> dict[str, Any]:
    return {
        "incident_id": view.key,
        "opened_at": view.opened_ms / 1000,
        "last_event_at": view.last_ms / 1000,
        "alert_count": view.alert_count,
        "pages": view.pages,
        "root_candidates": [{"entity": c.entity, "score": c.score, "why": c.why} for c in view.candidates],
        "title": view.title,
    }


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as target:
        target.writelines(json.dumps(row) + "\n" for row in rows)


def _picture(run: _Run) -> str:
    dots = []
    for ts_ms, entity, alert_id in run.dots:
        key = run.placed[alert_id].incident_key
        dots.append(storm_svg.Dot(ts_ms, entity, None if key is None else end_of(key, run.into)))
    return storm_svg.page(dots, list(run.views.values()))


def _summary(run: _Run) -> Summary:
    suppressed: dict[str, int] = {}
    for placed in run.placed.values():
        if placed.suppressed:
            suppressed[placed.reason.kind] = suppressed.get(placed.reason.kind, 0) + 1
    alerts, incidents = len(run.placed), len(run.views)
    return Summary(
        alerts=alerts, duplicates=run.duplicates, incidents=incidents,
        pages=sum(view.pages for view in run.views.values()),
        joined=alerts - sum(suppressed.values()) - incidents, suppressed=dict(sorted(suppressed.items())),
        merged=len(run.into), refused=tuple(run.refused[:REFUSED_SHOWN]), refused_count=len(run.refused),
    )  # fmt: skip
