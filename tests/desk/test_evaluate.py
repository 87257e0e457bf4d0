"""`evaluate`: labels are never read ahead, nothing is auto without a certificate, same input and seed give the same."""

import csv
import gzip
import json
from pathlib import Path
from random import Random

import pytest

from opspilot_mcp.desk import evaluate
from opspilot_mcp.desk.certificate import Terms
from opspilot_mcp.desk.evaluate import Example, Line
from opspilot_mcp.desk.figures import Judged, measure
from opspilot_mcp.errors import InvalidInput

_WORDS = {
    "billing": "invoice amount refund card charge receipt",
    "hardware": "laptop battery screen mouse keyboard dock",
    "access": "password login locked rights account group",
}


def tickets(count: int, *, seed: int = 1, noise: float = 0.03) -> list[Example]:
    """Short tickets whose words tell the label, but for a share of `noise` labels."""
    random, found = Random(seed), []
    for number in range(count):
        label = random.choice(sorted(_WORDS))
        body = " ".join(random.choices(_WORDS[label].split(), k=5))
        found.append(
            Example(f"t{number}", "", body, random.choice(sorted(_WORDS)) if random.random() < noise else label)
        )
    return found


def saved(path: Path, examples: list[Example]) -> Path:
    path.write_text("".join(json.dumps(example._asdict()) + "\n" for example in examples), encoding="utf-8")
    return path


def auto_error(examples: list[Example], lines: list[Line]) -> float:
    wrong = [e.label != line.predicted for e, line in zip(examples, lines, strict=True) if line.routed == "auto"]
    return sum(wrong) / len(wrong)


@pytest.fixture(scope="module")
def learnable() -> list[Example]:
    return tickets(900)


def test_a_stream_opens_the_gate_and_keeps_the_error(learnable: list[Example]) -> None:
    outcome = evaluate.stream(learnable, terms=Terms(), seed=1)

    share = sum(line.routed == "auto" for line in outcome.lines[450:]) / 450
    assert share >= 0.4
    assert auto_error(learnable, outcome.lines) <= 0.10
    assert outcome.words.startswith("certified: ")


def test_nothing_is_auto_without_a_certificate(learnable: list[Example]) -> None:
    outcome = evaluate.stream(learnable, terms=Terms(), seed=1)

    assert all(line.certified == (line.routed != "human") for line in outcome.lines)
    assert outcome.lines[0] == Line("t0", None, 0.0, "human", False)


def test_shuffled_labels_are_never_certified(learnable: list[Example]) -> None:
    labels = [example.label for example in learnable]
    Random(2).shuffle(labels)

    outcome = evaluate.stream(
        [e._replace(label=label) for e, label in zip(learnable, labels, strict=True)], terms=Terms(), seed=1
    )

    assert {line.routed for line in outcome.lines} == {"human"}


def test_a_change_of_the_label_set_raises_the_alarm_and_keeps_the_error(learnable: list[Example]) -> None:
    changed = [e if n < 450 else e._replace(label=f"new {e.label}") for n, e in enumerate(learnable)]

    outcome = evaluate.stream(changed, terms=Terms(), seed=1)

    assert [at for at, _ in outcome.alarms if 450 <= at < 470]
    assert auto_error(changed[450:], outcome.lines[450:]) <= 0.10


def test_a_label_changes_no_score_before_it_is_reviewed(learnable: list[Example]) -> None:
    spoiled = [*learnable[:300], *(e._replace(label="spoiled") for e in learnable[300:])]

    first = evaluate.stream(learnable, terms=Terms(), seed=1).lines[:301]

    assert evaluate.stream(spoiled, terms=Terms(), seed=1).lines[:300] == first[:300]
    assert evaluate.stream(spoiled, terms=Terms(), seed=1).lines[300].score == first[300].score


def test_labels_of_the_data_do_not_matter_after_a_fit(learnable: list[Example]) -> None:
    train, data = learnable[:400], learnable[400:500]

    outcome = evaluate.train_test(train, data, terms=Terms(), seed=1)
    spoiled = evaluate.train_test(train, [e._replace(label="?") for e in data], terms=Terms(), seed=1)

    assert outcome.lines == spoiled.lines
    assert auto_error(data, outcome.lines) <= 0.10


def test_the_same_seed_writes_the_same_file(tmp_path: Path, learnable: list[Example]) -> None:
    data = saved(tmp_path / "data.jsonl", learnable[:300])

    for name in ("a", "b"):
        evaluate.run(data, is_stream=True, seed=7, out=tmp_path / name)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_out_has_one_line_a_ticket_in_order(tmp_path: Path) -> None:
    data = saved(tmp_path / "data.jsonl", tickets(120))

    evaluate.run(data, is_stream=True, out=tmp_path / "out.jsonl")

    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"t{n}" for n in range(120)]
    assert all({"id", "predicted", "score", "routed", "certified"} <= set(line) for line in lines)
    assert all(0 <= line["score"] <= 1 for line in lines)


def test_a_desks_own_csv_is_read(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows(
            [["id", "subject", "body", "category"], ["1", "Hi", "two\nlines, quoted", "other"]]
        )

    assert evaluate.read_examples(path) == [Example("1", "Hi", "two\nlines, quoted", "other")]


def test_a_gzipped_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": "a", "subject": "", "body": "x", "label": "y"}\n'))

    assert evaluate.read_examples(path) == [Example("a", "", "x", "y")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no tickets"),
        (b"not json\n", "line 1"),
        (b'{"body": "x"}\n', "needs `label`"),
        (b'{"label": "x"}\n', "needs `label`"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"\x1f\x8b broken", "cannot be read"),
        (b"[1, 2]\n", "line 1"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_reason(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(content)

    with pytest.raises(InvalidInput, match=says):
        evaluate.read_examples(path)


def test_either_a_training_file_or_a_stream_is_asked_for(tmp_path: Path) -> None:
    data = saved(tmp_path / "data.jsonl", tickets(10))

    with pytest.raises(InvalidInput, match="--train FILE"):
        evaluate.run(data)


@pytest.mark.parametrize("terms", [Terms(alpha=0), Terms(delta=1), Terms(audit_rate=0)])
def test_terms_outside_nought_to_one_are_refused(tmp_path: Path, terms: Terms) -> None:
    data = saved(tmp_path / "data.jsonl", tickets(10))

    with pytest.raises(InvalidInput, match="between 0 and 1"):
        evaluate.run(data, is_stream=True, terms=terms)


def test_after_a_fit_tickets_without_labels_are_scored(tmp_path: Path) -> None:
    train = saved(tmp_path / "train.jsonl", tickets(150))
    data = tmp_path / "data.jsonl"
    data.write_text('{"id": "a", "subject": "", "body": "refund for the invoice"}\n', encoding="utf-8")

    summary = evaluate.run(data, train=train, out=tmp_path / "out.jsonl", page_file=tmp_path / "page.html")

    assert json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))["predicted"] == "billing"
    assert summary.startswith("1 tickets scored; no figures")
    assert not (tmp_path / "page.html").exists()


def test_a_strangers_text_cannot_break_the_full_text_query() -> None:
    hostile = [Example(str(n), '" OR *', "NEAR( AND NOT \x00 ^ col:", "a" if n % 2 else "b") for n in range(6)]

    outcome = evaluate.stream(hostile, terms=Terms(), seed=1)

    assert len(outcome.lines) == 6


def test_the_page_holds_both_drawings_and_no_markup_of_strangers(tmp_path: Path) -> None:
    data = saved(tmp_path / "data.jsonl", [e._replace(label="<script>x") for e in tickets(60)])

    evaluate.run(data, is_stream=True, page_file=tmp_path / "page.html")

    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    assert "<script" not in page
    assert "http" not in page


def test_the_figures_are_those_of_a_hand_worked_case() -> None:
    judged = [Judged("a", "a", 0.9, "auto"), Judged("a", "b", 0.8, "auto"), Judged("b", "b", 0.4, "human")]

    figures = measure(judged)

    assert figures.accuracy == pytest.approx(2 / 3)
    assert figures.macro_f1 == pytest.approx(2 / 3)
    assert figures.risk_80 == pytest.approx(1 / 2)
    assert figures.calibration_error == pytest.approx((0.1 + 0.8 + 0.6) / 3)
    assert figures.auto_error == pytest.approx(1 / 2)


def test_equal_scores_share_their_errors() -> None:
    judged = [Judged("a", "a", 0.5, "human"), Judged("a", "b", 0.5, "human")]

    assert measure(judged[::-1]) == measure(judged)


def test_a_fit_that_shows_nothing_says_so(learnable: list[Example]) -> None:
    labels = [example.label for example in learnable]
    Random(4).shuffle(labels)
    train = [e._replace(label=label) for e, label in zip(learnable[:200], labels, strict=False)]

    outcome = evaluate.train_test(train, learnable[200:220], terms=Terms(), seed=1)

    assert outcome.words == "no certificate: 200 labelled tickets do not show one"
    assert {line.routed for line in outcome.lines} == {"human"}


def test_a_file_with_priorities_runs_the_p1_net_beside_the_certificate(tmp_path: Path) -> None:
    rows = [
        example._replace(body=f"{example.body} turbine halted furnace" if at % 8 == 0 else example.body)._asdict()
        | {"priority": "P1" if at % 8 == 0 else "P3"}
        for at, example in enumerate(tickets(400))
    ]
    data, out = tmp_path / "mine.jsonl", tmp_path / "out.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    told = evaluate.run(data, is_stream=True, out=out)

    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()][200:]
    assert "P1 net: to miss at most" in told
    assert {line["routed"] for line in lines if line.get("possible_p1")} == {"human"}
    assert sum(bool(line.get("possible_p1")) for line in lines) >= 20


def test_a_file_without_priorities_has_no_net(learnable: list[Example]) -> None:
    assert evaluate.stream(learnable[:300], terms=Terms(), seed=1).net == ""
