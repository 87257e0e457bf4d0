"""Recall and false positives of the masks that stand between a ticket and a language model (ASSURANCE E19).

    python -m benchmarks.masking [--bench DIR]

The values are generated (tests/assurance/personal.py); with the bench beside the project its public texts are read
too: nobody wrote a card number there, so each mask in them is shown.
"""

import argparse
import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from opspilot_mcp.masking import mask, masks_in
from tests.assurance.personal import harmless, personal, told

BENCH = Path(__file__).parents[2] / "shared" / "bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=BENCH)
    args = parser.parse_args()
    table("masked, of what must be masked", personal(), wanted=True)
    table("masked, of what must stay", harmless(), wanted=False)
    for folder in ("injection", "tickets/data"):
        texts = list(texts_in(args.bench / folder))
        found = [one for text in texts for one in masks_in(mask(text))]
        print(f"{folder}: {len(texts):,} texts of the bench, {len(found)} masks {dict(Counter(found))}")


def table(title: str, values: Iterable[tuple[str, str]], *, wanted: bool) -> None:
    """Print the share that was masked, by kind where it is not the wanted one."""
    tried, hit = Counter[str](), Counter[str]()
    for at, (kind, value) in enumerate(values):
        tried[kind] += 1
        hit[kind] += value not in mask(told(value, at))
    print(f"{title}: {hit.total()} of {tried.total()} ({hit.total() / tried.total():.2%})")
    for kind, count in tried.items():
        if wanted or hit[kind]:
            print(f"  {kind:<32} {hit[kind]:>4} of {count} ({hit[kind] / count:.1%})")


def texts_in(folder: Path) -> Iterator[str]:
    """Yield the texts of the bench's JSON lines; none where the bench is not there."""
    for path in sorted(folder.glob("*.jsonl*")):
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            for line in file:
                row = json.loads(line)
                yield "\n".join(str(row[name]) for name in ("text", "subject", "body") if row.get(name))


if __name__ == "__main__":
    main()
