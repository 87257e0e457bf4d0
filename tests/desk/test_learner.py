"""The learner: what it learns at once and stores, what neighbours and calibration add; the P1 net and its price."""

from random import Random

import pytest

from opspilot_mcp.desk import calibration, learner
from opspilot_mcp.desk.calibration import Point
from opspilot_mcp.desk.learner import Head, Row

INVOICE = learner.counts_of("Invoice", "the invoice shows a wrong amount")
LAPTOP = learner.counts_of("Laptop", "my laptop battery does not charge")


def taught(*pairs: tuple[learner.Counts, str]) -> tuple[Head, dict[int, Row]]:
    head, rows = Head(), dict[int, Row]()
    for counts, category in pairs:
        learner.learn(head, rows, counts, category)
    return head, rows


def test_an_empty_learner_knows_no_category() -> None:
    assert learner.best(learner.probabilities(Head(), {}, INVOICE)) == (None, 0.0)


def test_one_correction_counts_from_the_next_ticket_on() -> None:
    head, rows = taught((INVOICE, "billing"), (LAPTOP, "hardware"))

    learner.learn(head, rows, INVOICE, "accounting")
    learner.learn(head, rows, INVOICE, "accounting")

    assert learner.best(learner.probabilities(head, rows, INVOICE))[0] == "accounting"


def test_probabilities_add_to_one() -> None:
    head, rows = taught((INVOICE, "billing"), (LAPTOP, "hardware"))

    assert sum(learner.probabilities(head, rows, LAPTOP).values()) == pytest.approx(1.0)


def test_scoring_needs_only_the_rows_of_the_tickets_own_words() -> None:
    head, rows = taught((INVOICE, "billing"), (LAPTOP, "hardware"), (INVOICE, "billing"))
    own = {key: rows[key] for key in LAPTOP if key in rows}

    assert learner.probabilities(head, own, LAPTOP) == learner.probabilities(head, rows, LAPTOP)


def test_words_never_seen_make_the_guess_less_sure_but_do_not_change_it() -> None:
    head, rows = taught(*[(INVOICE, "billing"), (LAPTOP, "hardware")] * 5)
    longer = LAPTOP | learner.counts_of("", "zyzzyva quokka nudibranch")

    known, unknown = (learner.best(learner.probabilities(head, rows, counts)) for counts in (LAPTOP, longer))

    assert known[0] == unknown[0] == "hardware"
    assert unknown[1] < known[1]


def test_features_are_the_same_in_every_process() -> None:
    assert sorted(learner.counts_of("", "laptop broken")) == [2585041407, 3758183995, 3802901620]


def test_a_row_comes_back_from_its_bytes() -> None:
    row = Row(df=7, epoch=2, weights=[0.5, -1.25], grads=[1.0, 3.5])

    assert Row.unpack(row.pack()) == row
    assert len(row.pack()) == 8 + 2 * 8


@pytest.mark.parametrize("packed", [b"", b"\0" * 7, b"\0" * 13])
def test_bytes_that_are_no_row_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="packed row"):
        Row.unpack(packed)


def test_the_head_comes_back_from_its_text() -> None:
    head, _ = taught((INVOICE, "billing"), (LAPTOP, "hardware"))

    assert Head.load(head.dump()) == head


def test_a_head_of_another_version_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    head, _ = taught((INVOICE, "billing"))
    text = head.dump()

    monkeypatch.setattr(learner, "VERSION", "another")

    assert Head.load(text) == Head()


def test_a_category_that_comes_late_gets_its_place_in_old_rows() -> None:
    head, rows = taught((INVOICE, "billing"))
    stored = {key: Row.unpack(row.pack()) for key, row in rows.items()}

    learner.learn(head, stored, INVOICE | LAPTOP, "hardware")

    assert {len(row.weights) for row in stored.values()} == {2}


def test_a_rehearsal_does_not_count_the_words_again() -> None:
    head, rows = taught((INVOICE, "billing"))

    learner.learn(head, rows, INVOICE, "billing", is_new=False)

    assert head.seen == 1
    assert {row.df for row in rows.values()} == {1}


def test_after_an_alarm_new_labels_outvote_old_ones_soon() -> None:
    head, rows = taught(*[(INVOICE, "billing"), (LAPTOP, "hardware")] * 50)
    doubted = Head.load(head.dump())

    learner.doubt(doubted)
    for _ in range(3):
        learner.learn(doubted, rows, INVOICE, "hardware")

    assert learner.best(learner.probabilities(doubted, rows, INVOICE))[0] == "hardware"


def test_after_an_alarm_rows_from_before_speak_more_quietly() -> None:
    head, rows = taught(*[(INVOICE, "billing"), (LAPTOP, "hardware")] * 50)
    before = learner.probabilities(head, rows, INVOICE)["billing"]

    learner.doubt(head)

    assert 0.5 < learner.probabilities(head, rows, INVOICE)["billing"] < before - 0.1


def test_a_fit_tells_apart_what_words_tell_apart() -> None:
    random, words = Random(1), {"billing": "invoice amount refund card", "hardware": "laptop battery screen mouse"}
    examples = [
        (learner.counts_of("", " ".join(random.choices(text.split(), k=3))), category)
        for category, text in words.items()
        for _ in range(40)
    ]

    head, rows = learner.fit(examples)

    assert learner.best(learner.probabilities(head, rows, learner.counts_of("", "refund for my card")))[0] == "billing"


def test_scripts_without_blanks_are_cut_into_pairs() -> None:
    login, invoice = learner.counts_of("", "ログインできません"), learner.counts_of("", "請求書を送ってください")
    head, rows = taught(*[(login, "account"), (invoice, "billing")] * 3)

    assert learner.best(learner.probabilities(head, rows, learner.counts_of("", "ログインしたい")))[0] == "account"


def test_near_neighbours_move_the_learner_and_far_ones_hardly_do() -> None:
    chances = {"billing": 0.5, "hardware": 0.5}

    near = learner.fuse(chances, [("hardware", 9.0), ("hardware", 8.0), ("billing", 1.0)])

    assert near["hardware"] > 0.55
    assert learner.fuse(chances, []) == chances


def test_equal_chances_are_decided_by_name() -> None:
    assert learner.best({"b": 0.5, "a": 0.5}) == ("a", 0.5)


def test_a_ticket_of_any_length_is_scored_by_a_bounded_number_of_words() -> None:
    random = Random(2)
    endless = " ".join(f"word{random.randint(0, 100_000)}" for _ in range(50_000))

    counts = learner.counts_of("", endless)

    assert learner.MOST_WORDS < len(counts) <= 2 * learner.MOST_WORDS  # each word, and each pair of neighbours


def test_calibration_without_reviews_changes_nothing() -> None:
    assert calibration.fit([]).apply(0.7) == pytest.approx(0.7, abs=1e-6)


def test_calibration_makes_a_score_that_is_too_sure_honest() -> None:
    random = Random(3)
    points = [Point(raw, random.random() < 0.6) for raw in (random.uniform(0.85, 0.95) for _ in range(400))]

    scale = calibration.fit(points)

    assert scale.apply(0.9) == pytest.approx(0.6, abs=0.08)


def test_calibration_keeps_the_order_even_when_the_score_is_upside_down() -> None:
    points = [Point(0.9, False)] * 50 + [Point(0.2, True)] * 50

    scale = calibration.fit(points)

    assert scale.apply(0.9) > scale.apply(0.2)


def test_an_audited_ticket_stands_for_those_that_nobody_reviewed() -> None:
    alike = [Point(0.9, True)] * 20 + [Point(0.9, False)] * 20

    heavier = calibration.fit([Point(p.raw, p.correct, 10.0 if p.correct else 1.0) for p in alike])

    assert heavier.apply(0.9) > calibration.fit(alike).apply(0.9)
