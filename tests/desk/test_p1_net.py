"""The P1 net as arithmetic: a threshold from the P1s alone, its price, the policy's limit, and when it is off."""

import pytest

from opspilot_mcp.desk import learner, p1_net
from opspilot_mcp.desk.facts import read
from opspilot_mcp.desk.p1_net import Net, Told


def told(p1s: list[float], others: list[float]) -> list[Told]:
    return [Told(score, True) for score in p1s] + [Told(score, False) for score in others]


def learnt(tickets: list[Told], **over: float) -> Net:
    net = p1_net.learn_net(tickets, **over)
    assert net is not None
    return net


def test_the_net_names_its_price() -> None:
    net = learnt(told([0.5 + n / 200 for n in range(60)], [n / 1_000 for n in range(440)]))

    assert net.words() == "to miss at most 5 % of your P1s, 12 % of tickets are flagged (shown on 60 P1s)"


@pytest.mark.parametrize(("p1s", "shown"), [(58, 0.055), (59, 0.05)])
def test_five_per_cent_takes_fifty_nine_p1s(p1s: int, shown: float) -> None:
    assert learnt(told([0.9] * p1s, [0.1] * 400)).miss == shown


def test_the_net_says_when_it_has_too_few_p1s_for_the_promise() -> None:
    net = learnt(told([0.9] * 10, [0.1] * 90))

    assert net.words() == "to miss at most 26 % of your P1s, 10 % of tickets are flagged (shown on 10 P1s)"
    assert net.is_on


def test_there_is_no_net_without_a_p1() -> None:
    assert p1_net.learn_net([Told(0.4, False)]) is None


def test_a_net_too_dear_for_the_policy_flags_what_it_may_and_says_what_it_misses() -> None:
    p1s = [0.2, *[0.9] * 79]
    tickets = told(p1s, [n / 1_000 for n in range(420)])

    free, bound = learnt(tickets, most_flagged=1.0), learnt(tickets, most_flagged=0.25)

    assert (free.misses, bound.misses) == (0, 1)
    assert free.flagged > 0.25 >= bound.flagged
    assert bound.miss > free.miss == 0.05


def test_a_net_that_catches_fewer_than_half_is_off_and_says_so() -> None:
    net = learnt(told([n / 40 for n in range(40)], [n / 400 for n in range(400)]))

    assert not net.flags(1.0)
    assert net.words().startswith("the P1 net is off: flagging 25 % of tickets would still miss up to")


def test_a_limit_of_nothing_turns_the_net_off() -> None:
    net = learnt(told([0.9] * 60, [0.1] * 400), most_flagged=0.0)

    assert not net.flags(0.99)


def test_a_stated_p1_counts_as_caught_and_as_flagged() -> None:
    net = learnt(told([p1_net.STATED] * 60, [0.1] * 440))

    assert net.misses == 0
    assert net.flagged == pytest.approx(0.12)
    assert not net.flags(0.999)


def test_a_p1_from_the_audit_counts_for_all_that_passed_unseen() -> None:
    seen = told([0.9] * 200, [0.1] * 3_000)

    alone = learnt([*seen, Told(0.3, True)])
    audited = learnt([*seen, Told(0.3, True, 10.0)])

    assert (alone.threshold, audited.threshold) == (0.9, 0.3)


def test_the_threshold_flags_at_its_own_score_and_not_below() -> None:
    net = learnt(told([0.9] * 60, [0.1] * 400))

    assert [net.flags(score) for score in (0.899999, 0.9, None)] == [False, True, False]


def test_facts_are_features_of_the_net() -> None:
    kinds = [fact.kind for fact in read("Portal", "The portal is down for everyone.").facts]
    words = learner.counts_of("Portal", "x")

    assert len(p1_net.counts_of(words, kinds)) == len(words) + len(set(kinds))


def test_the_price_is_that_of_the_latest_tickets() -> None:
    net = learnt([*told([], [0.95] * 3_000), *told([0.9] * 60, [0.1] * 440)])

    assert net.flagged == pytest.approx(0.12)
