"""Measure triage on labelled tickets: fit and test, or a stream from zero in which each ticket is routed before its
label is known and learnt only if a person saw it. The room behind `opspilot-mcp evaluate`.
"""

import csv
import gzip
import io
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from opspilot_mcp.desk import calibration, facts, learner, p1_net
from opspilot_mcp.desk.calibration import Point, Scale
from opspilot_mcp.desk.certificate import Frozen, Gate, Route, Terms, certify
from opspilot_mcp.desk.figures import Judged, measure, page, table
from opspilot_mcp.errors import InvalidInput, quoted
from opspilot_mcp.store.files import check_target

_FOLDS = 5
_REHEARSALS = 2
_NEIGHBOURS = 20
_RAREST_TERMS = 20
_DEPTH = 50
_SUBJECT_WEIGHT = 3.0
_RANK_OFFSET = 60  # Cormack et al. 2009, reciprocal rank fusion
# The scale is refitted from this many latest reviews, after every so many new ones.
_SCALE_POINTS = 600
_SCALE_EVERY = 10


class Example(NamedTuple):
    """A labelled ticket. Scoring never reads `label` or `is_p1`; they are empty and None where the file gives none."""

    id: str
    subject: str
    body: str
    label: str
    is_p1: bool | None = None


class Line(NamedTuple):
    """One ticket's outcome, as written to OUT; `alarm` holds the words of an alarm raised by this ticket's review."""

    id: str
    predicted: str | None
    score: float
    routed: Route
    certified: bool
    alarm: str = ""
    possible_p1: str = ""  # "yes" where the P1 net flagged it


class Outcome(NamedTuple):
    """Every line in the order of the data, the gate's closing words, and the alarms raised."""

    lines: list[Line]
    words: str
    alarms: list[tuple[int, str]]
    net: str = ""


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        return raw.decode("utf-8-sig")
    except (OSError, EOFError, gzip.BadGzipFile) as error:
        raise InvalidInput(f"{quoted(path.name)} cannot be read ({type(error).__name__}). Check the path.") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{quoted(path.name)} is not UTF-8 text. Save it as UTF-8.") from None


def _records(path: Path, text: str) -> Iterator[tuple[int, dict[str, object]]]:
    if ".csv" in path.suffixes:
        for number, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
            yield number, {str(key): value for key, value in row.items()}
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield number, dict(json.loads(line))
            except (ValueError, TypeError):
                raise InvalidInput(f"line {number} of {quoted(path.name)} is not a JSON object. Mend it.") from None


def read_examples(path: Path, *, needs_label: bool = True) -> list[Example]:
    """Return the labelled tickets of a .jsonl or .csv file, gzipped or not; `category` may stand for `label`.

    Raises InvalidInput naming the first line that has no text, or no label where one is needed.
    """
    found = []
    for number, record in _records(path, _text(path)):
        label = record.get("label") or record.get("category") or ""
        subject, body = (str(record.get(key) or "") for key in ("subject", "body"))
        if (needs_label and not label) or not (subject or body):
            raise InvalidInput(f"line {number} of {quoted(path.name)} needs `label` and `subject` or `body`. Add them.")
        priority = str(record.get("priority") or "").upper()
        is_p1 = priority == "P1" if priority in ("P1", "P2", "P3", "P4") else None
        found.append(Example(str(record.get("id") or number), subject, body, str(label), is_p1))
    if not found:
        raise InvalidInput(f"{quoted(path.name)} holds no tickets. Give a file with one labelled ticket a line.")
    return found


class Nearest:
    """Resolved tickets in an SQLite full-text index in memory, found by their few rarest terms."""

    def __init__(self) -> None:
        """Open an empty index."""
        self._db = sqlite3.connect(":memory:")
        self._db.execute(
            "CREATE VIRTUAL TABLE doc USING fts5(subject, body, label UNINDEXED, tokenize='porter unicode61')"
        )
        self._df: dict[str, int] = {}
        self._first = 0

    def add(self, example: Example, label: str) -> int:
        """Index one resolved ticket and return its row."""
        for term in set(learner.words_of(f"{example.subject}\n{example.body}")):
            self._df[term] = self._df.get(term, 0) + 1
        sql = "INSERT INTO doc(subject, body, label) VALUES (?, ?, ?)"
        return int(self._db.execute(sql, (example.subject, example.body, label)).lastrowid or 0)

    def forget(self) -> None:
        """Leave out everything indexed so far."""
        self._first = int(self._db.execute("SELECT coalesce(max(rowid), 0) FROM doc").fetchone()[0])

    def _query(self, text: str, *, fold: int | None, indexed: bool) -> list[tuple[int, str, float]]:
        least = 2 if indexed else 1  # words of the ticket alone would only find itself
        known = {term for term in learner.words_of(text) if self._df.get(term, 0) >= least}
        terms = sorted(known, key=lambda term: (self._df[term], term))[:_RAREST_TERMS]
        if not terms:
            return []
        match = " OR ".join(f'"{term}"' for term in terms)
        sql = (
            "SELECT rowid, label, -bm25(doc, ?, 1.0) AS closeness FROM doc "
            "WHERE doc MATCH ? AND rowid > ? AND rowid % ? <> ? ORDER BY closeness DESC, rowid LIMIT ?"
        )
        modulus, rest = (_FOLDS, fold) if fold is not None else (1, -1)
        return self._db.execute(sql, (_SUBJECT_WEIGHT, match, self._first, modulus, rest, _DEPTH)).fetchall()

    def rank(
        self, subject: str, body: str, *, fold: int | None = None, indexed: bool = False
    ) -> list[tuple[int, str, float]]:
        """Return row, label and closeness of the nearest tickets, best first: two queries fused by reciprocal rank.

        `fold` leaves out the rows of one part, so that a ticket never finds itself; `indexed` says the ticket is one
        of those in the index.
        """
        whole = self._query(f"{subject}\n{body}", fold=fold, indexed=indexed)
        if not subject:
            return whole
        labels: dict[int, str] = {}
        fused: dict[int, float] = {}
        for ranked in (whole, self._query(subject, fold=fold, indexed=indexed)):
            for place, (row, label, _) in enumerate(ranked):
                labels[row] = label
                fused[row] = fused.get(row, 0.0) + 1 / (_RANK_OFFSET + place)
        return [(row, labels[row], fused[row]) for row in sorted(fused, key=lambda row: (-fused[row], row))]

    def find(self, example: Example, *, fold: int | None = None) -> list[tuple[str, float]]:
        """Return label and closeness of the tickets that vote on a category."""
        found = self.rank(example.subject, example.body, fold=fold, indexed=fold is not None)[:_NEIGHBOURS]
        return [(label, closeness) for _, label, closeness in found]


def _fit_scale(points: Sequence[Point]) -> Scale:
    return calibration.fit(points[-_SCALE_POINTS:])


@dataclass(slots=True)
class _Stream:
    """A desk that starts from nothing and learns only what a person decided."""

    gate: Gate
    random: Random
    head: learner.Head = field(default_factory=learner.Head)
    rows: dict[int, learner.Row] = field(default_factory=dict)
    nearest: Nearest = field(default_factory=Nearest)
    scale: Scale = field(default_factory=Scale)
    window: list[Frozen] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    memory: list[tuple[learner.Counts, str]] = field(default_factory=list)
    net: p1_net.Trial = field(default_factory=p1_net.Trial)

    def score(self, example: Example, counts: learner.Counts) -> tuple[str | None, float]:
        """Return the category and its raw score, before the label is known."""
        chances = learner.probabilities(self.head, self.rows, counts)
        return learner.best(learner.fuse(chances, self.nearest.find(example)))

    def review(self, example: Example, counts: learner.Counts, point: Point, frozen: Frozen) -> str:
        """Take in the label a person gave; return the words of an alarm it raised, or nothing."""
        is_new = example.label not in self.head.categories
        event = self.gate.review(frozen, is_new_category=is_new and self.head.seen > 0)
        self.points.append(point)
        if event == "alarm":
            self._start_again()
        elif event == "test":
            self.gate.run_test(self.window)
        if len(self.points) % _SCALE_EVERY == 0:
            self.scale = _fit_scale(self.points)
        self.learn(example, counts)
        return self.gate.closed_because if event == "alarm" else ""

    def learn(self, example: Example, counts: learner.Counts) -> None:
        """Learn a label and rehearse two old ones."""
        learner.learn(self.head, self.rows, counts, example.label)
        self.nearest.add(example, example.label)
        self.memory.append((counts, example.label))
        for _ in range(_REHEARSALS):
            old, label = self.random.choice(self.memory)
            learner.learn(self.head, self.rows, old, label, is_new=False)

    def _start_again(self) -> None:
        learner.doubt(self.head)
        self.nearest.forget()
        self.window, self.points, self.memory, self.scale = [], [], [], Scale()


def stream(examples: Sequence[Example], *, terms: Terms, seed: int) -> Outcome:
    """Route the tickets in order from zero; a label is learnt only where the ticket went to a human or the audit.

    Where the file gives priorities, the P1 net runs beside it, and what it flags goes to a human.
    """
    desk = _Stream(Gate(terms=terms, salt=str(seed)), Random(seed))  # noqa: S311  # rehearsal order is no secret
    lines = [_routed(desk, example, terms) for example in examples]
    alarms = [(at, line.alarm) for at, line in enumerate(lines) if line.alarm]
    return Outcome(lines, desk.gate.words(), alarms, desk.net.net.words() if desk.net.net else "")


def _routed(desk: _Stream, example: Example, terms: Terms) -> Line:
    counts = learner.counts_of(example.subject, example.body)
    predicted, raw = desk.score(example, counts)
    score = round(desk.scale.apply(raw), 6) if predicted is not None else 0.0
    for_net, is_stated = _net_view(example, counts)
    net_score = desk.net.score(for_net, is_stated=is_stated)
    is_flagged = is_stated or (desk.net.net is not None and desk.net.net.flags(net_score))
    route: Route = "human" if is_flagged else desk.gate.decide(example.id, score)
    weight, alarm = 1 / terms.audit_rate if route == "audit" else 1.0, ""
    if example.is_p1 is not None:
        desk.net.take(for_net, net_score, None if route == "auto" else example.is_p1, stands_for=weight)
    frozen = Frozen(score, None if route == "auto" else predicted == example.label)
    if is_flagged:  # it went to a human whatever its score: no sample of the certificate's, but still a lesson
        desk.learn(example, counts)
    else:
        desk.window.append(frozen)
        if route != "auto":
            alarm = desk.review(example, counts, Point(raw, predicted == example.label, weight), frozen)
    return Line(example.id, predicted, score, route, route != "human", alarm, "yes" if is_flagged else "")


def _net_view(example: Example, counts: learner.Counts) -> tuple[learner.Counts, bool]:
    """Return the ticket's features for the net, and whether it states a P1; facts count only beside priorities."""
    if example.is_p1 is None:
        return counts, False
    found = facts.read(example.subject, example.body)
    return p1_net.counts_of(counts, {fact.kind for fact in found.facts}), facts.priority(found).priority == "P1"


class _Fitted(NamedTuple):
    head: learner.Head
    rows: dict[int, learner.Row]
    nearest: Nearest

    def score(self, example: Example, counts: learner.Counts, *, fold: int | None = None) -> tuple[str | None, float]:
        chances = learner.probabilities(self.head, self.rows, counts)
        return learner.best(learner.fuse(chances, self.nearest.find(example, fold=fold)))


def _out_of_fold(
    examples: Sequence[Example], counts: Sequence[learner.Counts], nearest: Nearest, *, seed: int
) -> list[Point]:
    """Return a raw score for each training ticket from a learner that never saw it."""
    points = []
    for fold in range(_FOLDS):
        # The index numbers its rows from 1.
        others = [
            (c, e.label) for at, (c, e) in enumerate(zip(counts, examples, strict=True), 1) if at % _FOLDS != fold
        ]
        held = [(c, e) for at, (c, e) in enumerate(zip(counts, examples, strict=True), 1) if at % _FOLDS == fold]
        part = _Fitted(*learner.fit(others, seed=seed), nearest)
        for held_counts, example in held:
            predicted, raw = part.score(example, held_counts, fold=fold)
            points.append(Point(raw, predicted == example.label))
    return points


def train_test(train: Sequence[Example], data: Sequence[Example], *, terms: Terms, seed: int) -> Outcome:
    """Fit on `train`, certify once on its out-of-fold scores with all of delta, then score and route `data`."""
    nearest = Nearest()
    for example in train:
        nearest.add(example, example.label)
    counts = [learner.counts_of(example.subject, example.body) for example in train]
    points = _out_of_fold(train, counts, nearest, seed=seed)
    scale = calibration.fit(points)
    gate = Gate(terms=terms, salt=str(seed), reviews=len(points), next_test=len(points))
    frozen = [Frozen(round(scale.apply(point.raw), 6), point.correct) for point in points]
    gate.certificate = certify(frozen, alpha=terms.alpha, level=terms.delta)
    fitted = _Fitted(*learner.fit([(c, e.label) for c, e in zip(counts, train, strict=True)], seed=seed), nearest)
    lines = []
    for example in data:
        predicted, raw = fitted.score(example, learner.counts_of(example.subject, example.body))
        score = round(scale.apply(raw), 6) if predicted is not None else 0.0
        route = gate.decide(example.id, score)
        lines.append(Line(example.id, predicted, score, route, route != "human"))
    words = gate.words() if gate.certificate else f"no certificate: {len(points)} labelled tickets do not show one"
    return Outcome(lines, words, [])


def _judge(examples: Sequence[Example], lines: Sequence[Line]) -> list[Judged]:
    return [Judged(e.label, line.predicted, line.score, line.routed) for e, line in zip(examples, lines, strict=True)]


def _summary(judged: Sequence[Judged], outcome: Outcome, terms: Terms) -> str:
    if not all(ticket.truth for ticket in judged):
        return f"{len(judged)} tickets scored; no figures, as not every one has a label\ngate: {outcome.words}"
    half = len(judged) // 2
    parts = [("all", measure(judged))]
    if half:
        parts += [("first half", measure(judged[:half])), ("second half", measure(judged[half:]))]
    said = [f"gate: {outcome.words}", f"asked for: error at most {terms.alpha:g} with probability {1 - terms.delta:g}"]
    said += [f"P1 net: {outcome.net}"] if outcome.net else []
    said += [f"alarm at ticket {at + 1}: {words}" for at, words in outcome.alarms]
    return "\n".join([table(parts), *said])


def _as_json(line: Line) -> str:
    return json.dumps({key: value for key, value in line._asdict().items() if value != ""}, ensure_ascii=False)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = type(error).__name__
        raise InvalidInput(f"{quoted(path.name)} cannot be written ({reason}). Choose another place.") from None


def run(
    data: Path,
    *,
    train: Path | None = None,
    is_stream: bool = False,
    terms: Terms | None = None,
    seed: int = 1,
    out: Path | None = None,
    page_file: Path | None = None,
) -> str:
    """Evaluate labelled tickets, write OUT and the HTML page where asked, and return the summary.

    Either `train` (fit, then score `data`) or `is_stream` (start from zero). Raises InvalidInput.
    """
    terms = terms or Terms()
    if (train is None) != is_stream:
        raise InvalidInput("Give either --train FILE to fit on, or --stream to start from zero.")
    if not (0 < terms.alpha < 1 and 0 < terms.delta < 1 and 0 < terms.audit_rate <= 1):
        raise InvalidInput("alpha, delta and audit-rate must lie between 0 and 1. Try 0.10 for each.")
    for target in (out, page_file):
        if target is not None:
            check_target(target)
    examples = read_examples(data, needs_label=is_stream)
    if train is None:
        outcome = stream(examples, terms=terms, seed=seed)
    else:
        outcome = train_test(read_examples(train), examples, terms=terms, seed=seed)
    judged = _judge(examples, outcome.lines)
    summary = _summary(judged, outcome, terms)
    if out is not None:
        _write(out, "".join(_as_json(line) + "\n" for line in outcome.lines))
    if page_file is not None and all(ticket.truth for ticket in judged):
        _write(page_file, page(judged, summary=summary, alpha=terms.alpha))
    return summary
