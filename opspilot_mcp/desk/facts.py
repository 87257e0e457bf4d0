"""What a ticket's text states, each fact with the words that say so, and the priority that follows from them.

Priority is impact x urgency from stated facts and never comes from the category learner: priority is barely
learnable from text alone (0.70 against 0.69 for a constant guess on 2,503 real Hadoop reports). Facts that can make
a P1 are read one-sidedly: a doubtful one is kept, because a P1 only sends the ticket to a person.
"""

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from opspilot_mcp.desk.rules import category_by_rules, mixes_issues, sentiment, tags
from opspilot_mcp.desk.scanning import CRITICAL, Scan, scan
from opspilot_mcp.desk.wording import Hit, word_set, words_of
from opspilot_mcp.desk.words.stop import STOP_WORDS

__all__ = ["Fact", "Facts", "Kind", "Rating", "category_by_rules", "priority", "read", "sentiment", "tags"]

Kind = Literal[
    "outage",
    "security",
    "data_loss",
    "broken",
    "component_down",
    "cosmetic",
    "affected",
    "revenue_loss",
    "money",
    "deadline",
    "workaround",
    "question",
    "request",
    "feature_wish",
    "thanks",
    "no_trouble",
    "recovered",
    "legal",
    "authority_change",
    "instructions_to_ai",
    "vague",
    "several_issues",
    "off_topic",
    "shouting",
]
Priority = Literal["P1", "P2", "P3", "P4"]
Impact = Literal["many", "one", "none"]
Urgency = Literal["critical", "high", "normal", "low"]

# What a person should see whatever the category's certificate says.
FOR_A_PERSON: tuple[Kind, ...] = (
    "instructions_to_ai",
    "legal",
    "authority_change",
    "vague",
    "several_issues",
    "off_topic",
)

_FAULTS: tuple[Kind, ...] = ("broken", "component_down", "revenue_loss")
_KINDS: frozenset[str] = frozenset(Kind.__args__)  # type: ignore[attr-defined]
_MOST_PER_KIND = 4
_HIDDEN_NOTE = "hidden comment"
_WE = word_set(
    "we our us wir unser unsere unserem unseren unserer uns nous notre nos nosotros nuestro nuestra nuestros"
)
# A function the customer's work hangs on; tags are the reader's, see `words/`.
_MAIN_FUNCTIONS = word_set(
    "tag:login tag:payment tag:export tag:import tag:api tag:integration tag:search tag:report tag:calendar tag:email "
    "tag:sso tag:notification"
)
_FEW_WORDS = 7


class Fact(BaseModel):
    """One stated fact, in the writer's words.

    `start` is their offset in subject, blank line, own text; `count` is the number where one is named.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    words: str
    start: int
    count: int | None = None


class Facts(BaseModel):
    """Every fact found, in the order of the text; `speaks_for_many` is true where the writer says we."""

    model_config = ConfigDict(frozen=True)

    facts: tuple[Fact, ...] = ()
    speaks_for_many: bool = False
    names_main_function: bool = False

    def of(self, *kinds: Kind) -> tuple[Fact, ...]:
        """Return the facts of these kinds."""
        return tuple(fact for fact in self.facts if fact.kind in kinds)

    def has(self, *kinds: Kind) -> bool:
        """Tell whether a fact of one of these kinds is stated."""
        return any(fact.kind in kinds for fact in self.facts)

    @property
    def reaches_many(self) -> bool:
        """Whether more than one person is said to be affected."""
        return any(fact.count is None or fact.count > 1 for fact in self.of("affected"))


class Rating(NamedTuple):
    """A priority with what it was made of; each `why` quotes the ticket and is a stranger's text."""

    priority: Priority
    impact: Impact
    urgency: Urgency
    why: tuple[str, ...]


def _counts(seen: Scan, hit: Hit) -> bool:
    if hit.kind in CRITICAL:
        return seen.states(hit)
    return hit.kind in _KINDS and hit.kind not in ("vague", "several_issues") and not hit.negated


def _number(seen: Scan, hit: Hit) -> int | None:
    """Return the whole number a hit starts with, None where it has none a person would write."""
    digits = seen.wording.words[hit.first].text.replace(".", "").replace(",", "")
    return int(digits) if hit.kind == "affected" and digits.isdecimal() and len(digits) <= 9 else None


def _fact(seen: Scan, hit: Hit) -> Fact:
    start = seen.wording.words[hit.first].start
    words = " ".join(words_of(seen.wording, hit).split())[:160]
    kind: Kind = hit.kind  # type: ignore[assignment]  # `_counts` let only these through
    return Fact(kind=kind, words=words, start=start, count=_number(seen, hit))


def _first_of_each(hits: list[Hit]) -> list[Hit]:
    """Keep the first few hits of a kind, and of hits that overlap the one that starts first."""
    kept: list[Hit] = []
    for hit in hits:
        same = [h for h in kept if h.kind == hit.kind]
        if len(same) < _MOST_PER_KIND and all(h.last < hit.first for h in same):
            kept.append(hit)
    return kept


def _says_little(seen: Scan) -> bool:
    """Tell whether the text names neither a thing nor a symptom that a colleague could act on."""
    plain = [word.text for word in seen.wording.words if word.clause not in seen.steering]
    content = {w for w in plain if w not in STOP_WORDS and len(w) > 1}
    if any(w.isdigit() or not w.isascii() for w in content) or seen.named("tag:"):
        return False
    speaks_vaguely = any(hit.kind == "vague" for hit in seen.hits)
    critical = any(hit.kind in CRITICAL and not hit.negated for hit in seen.hits)
    return len(content) <= 1 or (speaks_vaguely and len(content) <= _FEW_WORDS and not critical)


def _derived(seen: Scan) -> list[Fact]:
    """Return the facts that no single phrase states."""
    facts = []
    text = " ".join(seen.wording.text.split())
    if seen.hidden:
        facts.append(Fact(kind="instructions_to_ai", words=_HIDDEN_NOTE, start=0))
    if _says_little(seen):
        facts.append(Fact(kind="vague", words=text[:80], start=0))
    if (mixed := mixes_issues(seen)) is not None:
        start = seen.wording.words[mixed.first].start
        facts.append(Fact(kind="several_issues", words=words_of(seen.wording, mixed)[:160], start=start))
    return facts


def read(subject: str, body: str) -> Facts:
    """Return what the ticket states. Quoted text and passages that instruct a machine state nothing."""
    seen = scan(subject, body)
    steering = [h for h in seen.hits if h.kind == "instructions_to_ai" and not h.negated]
    hits = [hit for hit in seen.plain() if _counts(seen, hit)] + steering
    stated = [_fact(seen, hit) for hit in _first_of_each(sorted(hits, key=lambda h: h.first))]
    stated = sorted([*stated, *_derived(seen)], key=lambda fact: fact.start)
    return Facts(
        facts=tuple(stated),
        speaks_for_many=any(word.text in _WE for word in seen.wording.words),
        names_main_function=any(hit.kind in _MAIN_FUNCTIONS for hit in seen.plain()),
    )


def _quote(facts: Facts, *kinds: Kind) -> str:
    """Return the first words that state one of `kinds`."""
    return "'" + next(fact.words for kind in kinds for fact in facts.facts if fact.kind == kind)[:80] + "'"


def _fault(facts: Facts, impact: Impact) -> Rating:
    """Rate a text in which something does not work."""
    said = _quote(facts, *_FAULTS)
    if facts.has("revenue_loss"):
        return Rating("P2", impact, "high", (f"a fault that costs business: {_quote(facts, 'revenue_loss')}",))
    if facts.has("cosmetic") and not facts.has("deadline"):
        return Rating("P3", impact, "normal", (f"a small fault: {_quote(facts, 'cosmetic')}",))
    if impact == "many":
        who = f" for {_quote(facts, 'affected')}" if facts.has("affected") else " of a main function"
        return Rating("P2", impact, "high", (f"a fault, {said},{who}",))
    return Rating("P3", impact, "normal", (f"a fault, {said}, for one person or a minor function",))


def _stops_our_work(facts: Facts) -> bool:
    """Tell whether a function that a whole customer lives on fails, with no way around it."""
    if facts.has("workaround", "several_issues"):
        return False
    return facts.speaks_for_many and (facts.names_main_function or facts.has("component_down"))


def priority(facts: Facts) -> Rating:
    """Rate by impact x urgency: P1 security, outage, data loss; P2 major fault; P3 minor; P4 question or feedback."""
    many: Impact = "many" if facts.reaches_many or _stops_our_work(facts) else "one"
    if any(fact.kind in CRITICAL for fact in facts.facts):
        kind = next(fact.kind for name in CRITICAL for fact in facts.facts if fact.kind == name)
        return Rating("P1", many, "critical", (f"{kind.replace('_', ' ')}: {_quote(facts, kind)}",))
    if facts.has(*_FAULTS):
        if facts.has("thanks", "no_trouble") and facts.has("recovered"):
            return Rating("P4", "none", "low", (f"the fault is over: {_quote(facts, 'recovered')}",))
        return _fault(facts, many)
    if facts.has("no_trouble"):
        return Rating("P4", "none", "low", (f"nothing is wrong: {_quote(facts, 'no_trouble')}",))
    if facts.has("money", "authority_change"):
        return Rating("P3", "one", "normal", (f"something to put right: {_quote(facts, 'money', 'authority_change')}",))
    if facts.has("off_topic"):
        return Rating("P4", "none", "low", (f"not about the product: {_quote(facts, 'off_topic')}",))
    if facts.has("feature_wish"):
        return Rating("P4", "none", "low", (f"a wish: {_quote(facts, 'feature_wish')}",))
    if facts.has("request"):
        return Rating("P3", "one", "normal", (f"something to do: {_quote(facts, 'request')}",))
    if facts.has("question", "thanks", "recovered"):
        return Rating(
            "P4", "none", "low", (f"a question or feedback: {_quote(facts, 'question', 'thanks', 'recovered')}",)
        )
    return Rating("P3", "one", "normal", ("no fact that raises or lowers it",))
