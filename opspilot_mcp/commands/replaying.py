"""`replay`: run the correlation engine over a file of alerts without touching the desk."""

from pathlib import Path

from opspilot_mcp.aiops import replay as room
from opspilot_mcp.aiops.replay import Summary
from opspilot_mcp.commands import printing


def replay(alerts: Path, topology: Path, *, out: Path, incidents: Path | None, html: Path | None, as_json: bool) -> int:
    """Replay a storm and print what it came to; returns 1 when a line was refused."""
    with printing.count_progress(None, "replay", quiet=as_json) as progress:
        done = room.replay(alerts, topology, out=out, incidents=incidents, html=html, progress=progress)
    if as_json:
        printing.as_json(_told(done))
        return int(done.refused_count > 0)
    held_back = sum(done.suppressed.values())
    lines = [
        ("alerts", f"{done.alerts} ({done.duplicates} delivered again)"),
        ("incidents", f"{done.incidents}, {done.pages} {'pages' if done.pages == 1 else 'page'} somebody"),
        ("joined", f"{printing.counted(done.joined, 'alert')}, each with a reason"),
        ("suppressed", ", ".join(f"{count} {why}" for why, count in done.suppressed.items()) or "none"),
        ("merged", str(done.merged)),
        ("noise", f"{_reduction(done)}; {printing.counted(held_back, 'alert')} never paged"),
    ]
    console = printing.console()
    console.print(printing.table(["", "what the storm came to"], lines))
    for line, why in done.refused:
        console.print(f"line {line}: {why}", markup=False)
    if done.refused_count > len(done.refused):
        console.print(f"... and {done.refused_count - len(done.refused)} more lines were refused.")
    for path in (out, incidents, html):
        if path is not None:
            console.print(f"wrote {path}", soft_wrap=True, markup=False)
    return int(done.refused_count > 0)


def _reduction(done: Summary) -> str:
    """Return the share of alerts that opened no incident; of no alert there is none."""
    if not done.alerts:
        return "no alert was read"
    return f"{1 - done.incidents / done.alerts:.1%} fewer incidents than alerts"


def _told(done: Summary) -> dict[str, object]:
    return {
        "alerts": done.alerts,
        "duplicates": done.duplicates,
        "incidents": done.incidents,
        "pages": done.pages,
        "joined": done.joined,
        "suppressed": dict(done.suppressed),
        "merged": done.merged,
        "refused": done.refused_count,
    }
