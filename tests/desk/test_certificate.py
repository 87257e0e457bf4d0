"""The certificate: exact tails, what stands is kept, the audit is blind and fixed, the alarm closes the gate."""

import math
from random import Random

import pytest

from benchmarks import certificate_simulation as simulation
from opspilot_mcp.desk import certificate
from opspilot_mcp.desk.certificate import Certificate, Frozen, Gate, Stratum, Terms, at_most, certify, is_audited


def window(count: int, *, error: float, seed: int = 1) -> list[Frozen]:
    random = Random(seed)
    return [Frozen(random.random(), random.random() >= error) for _ in range(count)]


def split(count: int, *, cut: float, seed: int = 1) -> list[Frozen]:
    """Tickets that are always right above `cut` and right half the time below."""
    random = Random(seed)
    scores = [random.random() for _ in range(count)]
    return [Frozen(score, score >= cut or random.random() < 0.5) for score in scores]


def open_gate(threshold: float = 0.5, share: float = 0.5) -> Gate:
    gate = Gate(reviews=100, next_test=10_000)
    gate.certificate = Certificate(threshold, threshold, share, 100, 2, share, 1)
    return gate


@pytest.mark.parametrize(("errors", "reviews", "rate"), [(0, 22, 0.1), (3, 80, 0.05), (40, 300, 0.15)])
def test_the_binomial_tail_is_the_exact_sum(errors: int, reviews: int, rate: float) -> None:
    exact = sum(math.comb(reviews, k) * rate**k * (1 - rate) ** (reviews - k) for k in range(errors + 1))

    assert at_most(errors, reviews, rate) == pytest.approx(exact, rel=1e-9)


def test_twenty_two_reviews_without_an_error_are_the_fewest_that_show_a_tenth() -> None:
    assert at_most(0, 21, 0.1) > 0.1
    assert at_most(0, 22, 0.1) <= 0.1


def test_strata_reviewed_alike_say_what_one_pool_says_or_less() -> None:
    pooled = at_most(6, 120, 0.1)

    strata = certificate.strata_at_most(Stratum(3, 60, 0.5), Stratum(3, 60, 0.5), 0.1)

    assert pooled <= strata < 3 * pooled


def test_strata_hold_against_every_split_of_the_error() -> None:
    first, second = Stratum(1, 40, 0.7), Stratum(2, 30, 0.3)
    bound = certificate.strata_at_most(first, second, 0.1)
    random, hits, draws = Random(3), 0, 4_000

    for _ in range(draws):
        one = sum(random.random() < 0.04 for _ in range(40))
        two = sum(random.random() < 0.24 for _ in range(30))
        hits += 0.7 * one / 40 + 0.3 * two / 30 <= 0.7 * 1 / 40 + 0.3 * 2 / 30

    assert hits / draws <= bound + 0.01


def test_a_window_without_a_safe_region_gets_no_certificate() -> None:
    assert certify(window(1_000, error=0.2), alpha=0.1, level=0.05) is None


def test_the_certificate_stops_where_the_errors_begin() -> None:
    found = certify(split(800, cut=0.6), alpha=0.1, level=0.05)

    assert found is not None
    assert 0.45 < found.threshold < 0.65
    assert found.share == pytest.approx(sum(f.score >= found.threshold for f in split(800, cut=0.6)) / 800)


def test_a_certificate_is_false_in_at_most_delta_of_windows_on_the_edge() -> None:
    false = sum(certify(window(300, error=0.101, seed=s), alpha=0.1, level=0.1) is not None for s in range(300))

    assert false / 300 <= 0.1 + 0.03


def test_a_later_test_only_loosens_what_stands() -> None:
    tickets = split(800, cut=0.6)

    assert certify(tickets, alpha=0.1, level=0.05, standing=0.2) is None


def test_tickets_above_the_threshold_pass_and_a_tenth_of_them_is_audited() -> None:
    gate = open_gate(threshold=0.5)

    routes = [gate.decide(f"T-{n}", 0.5) for n in range(2_000)]

    assert gate.decide("T-1", 0.4999) == "human"
    assert 150 <= routes.count("audit") <= 250
    assert routes.count("human") == 0


def test_the_audit_is_fixed_by_the_ticket_and_the_salt() -> None:
    chosen = [is_audited(f"T-{n}", 0.1, "desk-a") for n in range(500)]

    assert chosen == [is_audited(f"T-{n}", 0.1, "desk-a") for n in range(500)]
    assert chosen != [is_audited(f"T-{n}", 0.1, "desk-b") for n in range(500)]


def test_no_ticket_is_auto_before_a_certificate() -> None:
    gate = Gate()

    assert {gate.decide(f"T-{n}", 1.0) for n in range(100)} == {"human"}


def test_the_gate_says_how_many_reviews_are_missing() -> None:
    gate = Gate(reviews=12, terms=Terms(first_reviews=22))

    assert gate.words() == "12 of 22 reviews until a certificate"


def test_the_gate_says_what_is_certified() -> None:
    gate = open_gate()
    gate.certificate = Certificate(0.8, 0.8, 0.61, 214, 9, 0.61, 1)

    assert gate.words() == (
        "certified: error at most 10 % with 90 % confidence, from 214 reviews, 61 % of tickets pass"
    )


def test_a_run_of_wrong_reviews_closes_the_gate_and_says_so() -> None:
    gate = open_gate()

    events = [gate.review(Frozen(0.7, False)) for _ in range(12)]

    assert "alarm" in events
    assert gate.certificate is None
    assert gate.epoch == 1
    assert gate.words().startswith("closed by the alarm: ")


def test_reviews_as_right_as_their_scores_raise_no_alarm() -> None:
    gate, random = open_gate(threshold=0.9), Random(5)

    events = [gate.review(Frozen(s, random.random() < s)) for s in (random.uniform(0.3, 0.99) for _ in range(3_000))]

    assert "alarm" not in events


def test_categories_never_seen_close_the_gate_when_they_come_together() -> None:
    gate = open_gate()
    gate.reviews = 500

    events = [gate.review(Frozen(0.3, False), is_new_category=True) for _ in range(2)]

    assert events == ["", "alarm"]
    assert "categories the learner never saw" in gate.words()


def test_one_new_category_alone_raises_no_alarm() -> None:
    gate = open_gate()
    gate.reviews = 500

    first = gate.review(Frozen(0.3, False), is_new_category=True)
    rest = [gate.review(Frozen(0.9, True)) for _ in range(30)]

    assert {first, *rest} == {""}


def test_an_audit_that_finds_many_errors_closes_the_gate() -> None:
    gate = open_gate(threshold=0.0)

    events = [gate.review(Frozen(0.15, n % 2 == 0)) for n in range(60)]

    assert "alarm" in events
    assert "audit" in gate.closed_because


def test_after_an_alarm_the_next_certificate_asks_for_less_error() -> None:
    gate = Gate(epoch=1)

    assert gate.alpha == pytest.approx(0.085)


def test_a_test_that_cannot_gain_spends_nothing() -> None:
    gate = Gate(reviews=300)

    gate.run_test([Frozen(0.5, True)] * 400)

    assert gate.tests == 0
    assert gate.next_test == 360


def test_a_test_that_gains_opens_the_gate_and_spends_delta_once() -> None:
    gate = Gate(reviews=700)
    tickets = [Frozen(0.97 if n % 2 else 0.4, bool(n % 2) or n % 3 == 0) for n in range(700)]

    held = gate.run_test(tickets)

    assert held is not None
    assert held.threshold == pytest.approx(0.97)
    assert gate.tests == 1


def test_the_threshold_rises_when_more_tickets_pass_than_were_tested() -> None:
    gate = open_gate(threshold=0.5, share=0.4)

    for _ in range(20):
        gate.review(Frozen(0.9, True))

    assert gate.certificate is not None
    assert gate.certificate.threshold > 0.5
    assert gate.certificate.tested_threshold == 0.5


def test_the_state_comes_back_as_it_was_written() -> None:
    gate = open_gate()
    gate.review(Frozen(0.7, False))

    again = Gate.load(gate.dump())

    assert again == gate
    assert len(gate.dump()) < 1_024


def test_a_gate_without_a_certificate_comes_back_too() -> None:
    gate = Gate(salt="desk-a", terms=Terms(alpha=0.05))

    assert Gate.load(gate.dump()) == gate


def test_a_late_review_counts_as_what_the_ticket_was_when_it_was_decided() -> None:
    late, prompt = open_gate(threshold=0.5, share=0.5), open_gate(threshold=0.5, share=0.5)

    late.review(Frozen(0.9, True), passed=False)
    prompt.review(Frozen(0.9, True))

    assert late.certificate is not None
    assert prompt.certificate is not None
    assert late.certificate.threshold < prompt.certificate.threshold


def test_each_further_test_has_a_smaller_part_of_delta() -> None:
    tickets = [Frozen(0.97, True)] * 160  # 80 in the window: enough for the first test, too few for the fiftieth
    first, late = Gate(reviews=700), Gate(reviews=700, tests=49)

    assert first.run_test(tickets) is not None
    assert late.run_test(tickets) is None


@pytest.mark.parametrize("name", ["growing, honest score", "0.895 right, score says 0.97"])
def test_in_simulated_desks_the_promise_holds_where_the_naive_threshold_breaks_it(name: str) -> None:
    setting = next(s for s in simulation.SETTINGS if s.name == name)

    ours = [simulation.certified_stream(setting, tickets=900, seed=s, terms=Terms()) for s in range(30)]
    naive = [simulation.naive_stream(setting, tickets=900, seed=s, terms=Terms()) for s in range(30)]

    assert sum(stream.window or stream.then for stream in ours) <= 3
    assert sum(stream.window or stream.then for stream in naive) >= 15


def test_a_gate_whose_reviews_show_nothing_says_when_it_looks_again() -> None:
    gate = Gate(reviews=300, next_test=334)

    assert gate.words() == "300 of 334 reviews until a certificate is tried again, none shown yet"
