"""`correlate`: fold waiting alerts and show the few incidents under them."""

from rich.console import Console, Group
from rich.text import Text

from opspilot_mcp.aiops import flow, incidents
from opspilot_mcp.aiops.flow import Correlated
from opspilot_mcp.aiops.incidents import Incident
from opspilot_mcp.app import App
from opspilot_mcp.commands import printing


async def correlate(app: App, *, as_json: bool) -> int:
    """Fold, then print what is active."""
    done = await flow.correlate(app.db, actor=app.principal, now=app.now(), books=app.runbooks)
    active = (await app.read(incidents.find, limit=100)).incidents
    if as_json:
        printing.as_json({**done.model_dump(), "incidents": [_as_dict(one) for one in active]})
        return 0
    out = printing.console()
    out.print(reduction_line(done))
    for one in active[:20]:
        show(out, one)
    if len(active) > 20:
        out.print(f"... and {len(active) - 20} more: opspilot-mcp export incidents FILE.jsonl")
    return 0


def reduction_line(done: Correlated) -> str:
    """Return what a fold did; the reduction never stands alone, as one big pile would score highest."""
    if not done.alerts:
        return "No alert was waiting."
    held_back = ", ".join(f"{count} {why}" for why, count in done.suppressed.items())
    noise = done.noise
    return (
        f"{printing.counted(noise.alerts, 'alert')} -> {printing.counted(noise.incidents, 'incident')}, "
        f"{noise.pages} of them {'pages' if noise.pages == 1 else 'page'} "
        f"({noise.reduction:.0%} less noise), {printing.counted(noise.unexplained, 'incident')} of one alert"
        f"{', suppressed: ' + held_back if held_back else ''}."
    )


def show(out: Console, one: Incident) -> None:
    """Print an incident: its line, likely causes with their terms, and the runbook."""
    head = Text.assemble(
        (f"{one.id} ", "bold"),
        (f"{one.severity} ", "red" if one.severity == "critical" else "yellow"),
        printing.plain(one.title, 70),
        f"  {printing.counted(one.alert_count, 'alert')}",
    )
    lines = [head]
    for rank, root in enumerate(one.root_candidates[:3], 1):
        lines.append(
            Text.assemble(
                f"   cause {rank}: ",
                (printing.plain(root.entity, 30)),
                f" {root.score:.2f}  ",
                printing.plain(root.why, 200),
            )
        )
    if one.runbook:
        lines.append(Text(f"   runbook: {one.runbook}"))
    out.print(Group(*lines))


def _as_dict(one: Incident) -> dict[str, object]:
    return {"id": one.id, **one.model_dump(exclude={"number", "key"})}
