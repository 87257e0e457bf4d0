"""The starting rules, for a desk that has no labels yet: category by words, mood, and tags that can be counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from opspilot_mcp.desk.scanning import Scan, scan
from opspilot_mcp.desk.wording import read_words

if TYPE_CHECKING:
    from opspilot_mcp.desk.facts import Facts

Sentiment = Literal["positive", "neutral", "negative", "urgent"]

_MOST_TAGS = 8
_TAG_OF_FACT = {
    "outage": "outage",
    "security": "security",
    "data_loss": "data_loss",
    "legal": "legal",
    "deadline": "time_sensitive",
    "shouting": "time_sensitive",
    "workaround": "has_workaround",
}
# Words another desk may use for one of the five starting categories.
_ALIASES = {
    "billing": "billing invoice invoices payment payments finance accounting",
    "technical": "technical bug bugs incident incidents technology support it",
    "account": "account accounts access login user users identity",
    "feature_request": "feature features feature_request enhancement enhancements wish idea ideas",
    "other": "other misc miscellaneous general others",
}
_STANDARD = {alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()}
_SUBJECT_WEIGHT = 1.5
_MOST_PER_CATEGORY = 5.0
# How much evidence a lone hit must be weighed against, set so that one word never passes the starting gate of 0.7.
_DOUBT = 1.0


def _shape(seen: Scan) -> dict[str, float]:
    """Return what the stated kinds, as opposed to the words for a subject, say about the category."""
    kinds = {hit.kind for hit in seen.plain() if not hit.negated}
    weights = {"technical": 0.0, "feature_request": 0.0, "other": 0.0, "billing": 0.0, "account": 0.0}
    weights["technical"] += 2.0 * bool(kinds & {"outage", "data_loss"}) + 1.0 * ("broken" in kinds)
    weights["technical"] += 1.0 * ("security" in kinds) + 0.5 * ("revenue_loss" in kinds and "broken" in kinds)
    weights["account"] += 1.5 * ("authority_change" in kinds)
    weights["billing"] += 1.5 * ("money" in kinds and "revenue_loss" not in kinds)
    weights["feature_request"] += 2.0 * ("feature_wish" in kinds and "broken" not in kinds)
    weights["other"] += 2.0 * ("off_topic" in kinds) + 2.0 * ("thanks" in kinds and not kinds & {"broken", "question"})
    weights["other"] += 1.5 * ("recovered" in kinds and "broken" not in kinds)
    return weights


def _weigh(seen: Scan) -> dict[str, float]:
    """Return the weight of evidence for each of the five starting categories."""
    weights = _shape(seen)
    words: dict[str, set[str]] = {}
    for hit in seen.named("cat:"):
        name = hit.kind.removeprefix("cat:")
        if hit.negated and name != "technical":
            continue
        first = seen.wording.words[hit.first]
        if first.text not in words.setdefault(name, set()):
            words[name].add(first.text)
            weights[name] += _SUBJECT_WEIGHT if first.clause == 0 else 1.0
    return {name: min(weight, _MOST_PER_CATEGORY) for name, weight in weights.items()}


def _named_in_text(seen: Scan, category: str) -> float:
    """Return 1 for each word of a category's own name that the ticket uses."""
    stems = [word.text[:5] for word in read_words(category.replace("_", " ")).words if len(word.text) > 2]
    texts = {word.text for word in seen.wording.words if word.clause not in seen.steering}
    return float(sum(any(text.startswith(stem) for text in texts) for stem in stems))


def category_by_rules(subject: str, body: str, categories: Sequence[str]) -> tuple[str, float]:
    """Return one of `categories` and how sure the words make it, 0 to 1; text that says nothing stays far below 0.7.

    The five starting categories are known by their words and common other names; any other by the words of its name.
    Raises ValueError when there is no category.
    """
    if not categories:
        raise ValueError("a desk needs at least one category")
    seen = scan(subject, body)
    known = _weigh(seen)
    weights = {}
    for category in categories:
        standard = _STANDARD.get(category.strip().lower().replace(" ", "_"))
        weights[category] = known[standard] if standard else _named_in_text(seen, category)
    best = max(categories, key=lambda category: weights[category])
    total = sum(weights.values())
    if total == 0:
        fallback = next((c for c in categories if _STANDARD.get(c.strip().lower()) == "other"), categories[-1])
        return fallback, 0.2
    return best, round(weights[best] / (total + _DOUBT), 4)


def _shouts(subject: str, body: str) -> bool:
    """Tell whether the writer uses capitals and exclamation marks for words."""
    start = f"{subject} {body[:2000]}"
    loud = [word for word in start.split() if len(word) > 3 and word.isupper() and word.isalpha()]
    return "!!" in start and len(loud) >= 2


def sentiment(subject: str, body: str) -> Sentiment:
    """Return the writer's mood; `urgent` means pressing, which is not the same as important."""
    seen = scan(subject, body)
    kinds = [hit.kind for hit in seen.plain() if not hit.negated]
    has = set(kinds)
    critical = bool(has & {"outage", "security", "data_loss"})
    pressing = "shouting" in has or ("deadline" in has and critical)
    if pressing or "outage" in has or ("revenue_loss" in has and "broken" in has) or _shouts(subject, body):
        return "urgent"
    good, bad = kinds.count("mood:positive"), kinds.count("mood:negative")
    if "mood:irony" in has and "broken" in has:
        return "negative"
    if bad and bad >= good:
        return "negative"
    if good:
        return "positive"
    return "negative" if critical or {"broken", "affected"} <= has else "neutral"


def tags(subject: str, body: str, facts: Facts) -> tuple[str, ...]:
    """Return up to eight tags of a fixed vocabulary, the most telling first, so that recurring blockers add up."""
    seen = scan(subject, body)
    found = [tag for kind, tag in _TAG_OF_FACT.items() if any(fact.kind == kind for fact in facts.facts)]
    found += [hit.kind.removeprefix("tag:") for hit in seen.named("tag:")]
    return tuple(dict.fromkeys(found))[:_MOST_TAGS]
