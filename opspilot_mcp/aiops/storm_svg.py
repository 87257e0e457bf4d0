"""A storm as one self-contained page: alerts over time by service, coloured by incident, roots marked.

Plain SVG in HTML, no script, no font, no link: it opens from a mail attachment and under any content policy.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from opspilot_mcp.aiops.correlation import View
from opspilot_mcp.clock import iso

ROWS = 60
LISTED = 40
WIDTH = 1180
LEFT = 220
ROW_PX = 18
TOP = 34
COLUMNS = 480  # alerts of one row, incident and column are drawn as one dot
TICKS = 6
# Told apart by people with colour-blindness, on white and on dark. Source: Okabe and Ito 2008, with two more.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#9467bd", "#8c564b", "#bcbd22", "#e15759")
_STYLE = (
    "body{font:14px/1.45 system-ui,sans-serif;margin:24px;background:#fff;color:#1b1f24}"
    "svg{max-width:100%;height:auto}text{font:11px system-ui,sans-serif;fill:currentColor}"
    ".grid{stroke:currentColor;opacity:.15}table{border-collapse:collapse;margin-top:16px}"
    "td,th{padding:3px 12px 3px 0;text-align:left;vertical-align:top}"
    "@media(prefers-color-scheme:dark){body{background:#14171a;color:#dfe3e6}}"
)


class Dot(NamedTuple):
    """One alert of the picture; `incident` is None when it was suppressed."""

    ts_ms: int
    entity: str
    incident: str | None


def page(dots: Sequence[Dot], views: Sequence[View]) -> str:
    """Return the whole page. Every name in it is escaped: they come from strangers."""
    colours = _colours(dots)
    counts = {"alert": len(dots), "incident": len(views), "page": sum(view.pages for view in views)}
    note = f"{', '.join(f'{count:,} {name}' + 's' * (count != 1) for name, count in counts.items())}."
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Storm</title>"
        f"<meta name='viewport' content='width=device-width'><style>{_STYLE}</style></head><body>"
        f"<h1>Storm</h1><p>{note} A ring marks the likeliest root of an incident; grey was suppressed.</p>"
        f"{_svg(dots, views, colours)}{_table(views, colours)}</body></html>\n"
    )


def _colours(dots: Sequence[Dot]) -> dict[str, str]:
    """Give each incident a colour, in order of first alert, so that neighbours in time differ."""
    keys = dict.fromkeys(dot.incident for dot in sorted(dots) if dot.incident is not None) if dots else {}
    return {key: COLOURS[n % len(COLOURS)] for n, key in enumerate(keys)}


def _rows(dots: Sequence[Dot]) -> dict[str, int]:
    """Return the row of each entity: the busiest ones, ordered by their first alert; the rest share the last row."""
    busy = Counter(dot.entity for dot in dots)
    chosen = {entity for entity, _ in sorted(busy.items(), key=lambda item: (-item[1], item[0]))[:ROWS]}
    first: dict[str, int] = {}
    for dot in dots:
        first[dot.entity] = min(dot.ts_ms, first.get(dot.entity, dot.ts_ms))
    ordered = sorted(chosen, key=lambda entity: (first[entity], entity))
    return {entity: n for n, entity in enumerate(ordered)} | {e: len(ordered) for e in busy if e not in chosen}


def _svg(dots: Sequence[Dot], views: Sequence[View], colours: dict[str, str]) -> str:
    if not dots:
        return "<p>No alerts.</p>"
    start, end = min(d.ts_ms for d in dots), max(d.ts_ms for d in dots)
    rows = _rows(dots)
    height = TOP + ROW_PX * (max(rows.values()) + 1) + 24
    parts = [f"<svg viewBox='0 0 {WIDTH} {height}' role='img' aria-label='Alerts over time by service'>"]
    parts += _frame(rows, start, end, height)
    parts += _dots(dots, rows, colours, start, end)
    parts += _roots(dots, views, rows, colours, start, end)
    return "".join([*parts, "</svg>"])


def _x(ts_ms: int, start: int, end: int) -> float:
    return LEFT + (WIDTH - LEFT - 20) * ((ts_ms - start) / max(1, end - start))


def _y(row: int) -> float:
    return TOP + ROW_PX * (row + 0.5)


def _frame(rows: dict[str, int], start: int, end: int, height: int) -> list[str]:
    labels: dict[int, str] = {}
    for entity, row in rows.items():
        labels[row] = entity if row not in labels else "others"
    parts = []
    for row, label in sorted(labels.items()):
        short = label if len(label) <= 34 else label[:33] + "…"
        parts.append(f"<line class='grid' x1='{LEFT}' x2='{WIDTH - 20}' y1='{_y(row):.1f}' y2='{_y(row):.1f}'/>")
        parts.append(f"<text x='{LEFT - 8}' y='{_y(row) + 4:.1f}' text-anchor='end'>{escape(short)}</text>")
    for tick in range(TICKS + 1):
        at = start + (end - start) * tick // TICKS
        x = _x(at, start, end)
        anchor = "end" if tick == TICKS else "start" if tick == 0 else "middle"
        parts.append(f"<line class='grid' x1='{x:.1f}' x2='{x:.1f}' y1='{TOP}' y2='{height - 20}'/>")
        parts.append(
            f"<text x='{x:.1f}' y='{TOP - 12}' text-anchor='{anchor}'>{iso(at)[5:19].replace('T', ' ')}</text>"
        )
    return parts


def _dots(dots: Sequence[Dot], rows: dict[str, int], colours: dict[str, str], start: int, end: int) -> list[str]:
    cells: Counter[tuple[int, int, str]] = Counter()
    for dot in dots:
        column = (dot.ts_ms - start) * COLUMNS // max(1, end - start)
        cells[(rows[dot.entity], column, dot.incident or "")] += 1
    parts = []
    for (row, column, key), count in sorted(cells.items()):
        x = _x(start + (end - start) * column // COLUMNS, start, end)
        radius = min(7.0, 2.2 + 0.8 * (count**0.5))
        fill = colours.get(key, "#9aa0a6")
        parts.append(f"<circle cx='{x:.1f}' cy='{_y(row):.1f}' r='{radius:.1f}' fill='{fill}' fill-opacity='.8'/>")
    return parts


def _roots(
    dots: Sequence[Dot], views: Sequence[View], rows: dict[str, int], colours: dict[str, str], start: int, end: int
) -> list[str]:
    """A ring at the first alert of each incident's likeliest root (an instance is drawn at its service's row)."""
    seen: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for dot in dots:
        if dot.incident is not None:
            at = seen[dot.incident]
            at[dot.entity] = min(dot.ts_ms, at.get(dot.entity, dot.ts_ms))
    parts = []
    for view in views:
        root = view.candidates[0].entity if view.candidates else ""
        near = [entity for entity in seen[view.key] if entity == root or root.startswith(entity)]
        if not near:
            continue
        entity = max(near, key=lambda name: (len(name), name))
        x, y = _x(seen[view.key][entity], start, end), _y(rows[entity])
        ring = f"fill='none' stroke='{colours.get(view.key, '#9aa0a6')}' stroke-width='2.5'"
        parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='9' {ring}><title>{escape(root)}</title></circle>")
    return parts


def _table(views: Sequence[View], colours: dict[str, str]) -> str:
    shown = sorted(views, key=lambda v: (-v.alert_count, v.key))[:LISTED]
    rows = []
    for view in sorted(shown, key=lambda v: (v.opened_ms, v.key)):
        root = view.candidates[0] if view.candidates else None
        swatch = f"<span style='color:{colours.get(view.key, '#9aa0a6')}'>&#9679;</span>"
        rows.append(
            f"<tr><td>{swatch} {escape(iso(view.opened_ms))}</td><td>{view.alert_count:,}</td>"
            f"<td>{escape(view.severity)}{', pages' if view.pages else ''}</td><td>{escape(view.title)}</td>"
            f"<td>{escape(root.why) if root else ''}</td></tr>"
        )
    left_out = (
        f"<p>{len(views) - len(shown):,} smaller incidents are not listed.</p>" if len(views) > len(shown) else ""
    )
    head = "<tr><th>Opened</th><th>Alerts</th><th>Severity</th><th>Title</th><th>Why this root</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>{left_out}"
