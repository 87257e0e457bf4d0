"""The starting rules, for a desk that has no labels yet: category by words, mood, and tags that can be counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from opspilot_mcp.desk.scanning import Scan, scan
from opspilot_mcp.desk.wording import Hit, read_words

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
_DOUBT = 0.7


def _shape(seen: Scan) -> dict[str, float]:
    """Return what the stated kinds, as opposed to the words for a subject, say about the category."""
    kinds = seen.kinds()
    weights = {"technical": 0.0, "feature_request": 0.0, "other": 0.0, "billing": 0.0, "account": 0.0}
    is_over = "recovered" in kinds and bool(kinds & {"thanks", "no_trouble"})
    is_fault = bool(kinds & {"broken", "component_down"}) and not is_over
    weights["technical"] += 2.0 * bool(kinds & {"outage", "data_loss", "component_down"}) + 1.0 * is_fault
    weights["technical"] += 1.0 * ("security" in kinds) + 2.0 * ("revenue_loss" in kinds and is_fault)
    weights["account"] += 1.5 * ("authority_change" in kinds)
    weights["billing"] += 1.5 * ("money" in kinds and "revenue_loss" not in kinds)
    weights["feature_request"] += 2.0 * ("feature_wish" in kinds and not is_fault)
    weights["other"] += 2.0 * ("off_topic" in kinds) + 2.0 * (
        "thanks" in kinds and not is_fault and "question" not in kinds
    )
    weights["other"] += 1.5 * ("recovered" in kinds and not is_fault) + 1.5 * is_over
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


def _items(seen: Scan) -> set[int]:
    """Return the clauses that open with a list number such as 1) or 2."""
    words = seen.wording.words
    return {
        word.clause
        for before, word in zip((None, *words), words, strict=False)
        if word.text in "123456789" and (before is None or before.clause != word.clause)
    }


def mixes_issues(seen: Scan) -> Hit | None:
    """Return the words that announce several matters, where the text then names at least two categories."""
    by_category = {hit.kind: seen.clause(hit) for hit in seen.named("cat:")}
    if len(set(by_category.values())) < 2 or len(by_category) < 2:
        return None
    announced = next((h for h in seen.plain() if h.kind == "several_issues" and not h.negated), None)
    listed = len(_items(seen)) >= 2 and not any(
        w.text in ("steps", "schritte", "etapes", "pasos") for w in seen.wording.words
    )
    if announced is None and listed:
        return seen.named("cat:")[0]
    return announced


def _first_named(seen: Scan, fallback: str) -> str:
    """Return the category whose words come first after the subject: in a list of issues the first one leads."""
    later = [hit for hit in seen.named("cat:") if seen.clause(hit) > 0]
    first = [hit.kind for hit in later if seen.clause(hit) == seen.clause(later[0])]
    # "How do I" belongs to any subject; the subject's own words decide.
    telling = [kind for kind in first if kind != "cat:technical"] or first
    return max(telling, key=telling.count).removeprefix("cat:") if first else fallback


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
    if mixes_issues(seen) is not None:
        leads = _first_named(seen, max(known, key=lambda name: known[name]))
        known[leads] = max(known.values()) + 0.5
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
    kinds, has = [hit.kind for hit in seen.plain() if seen.states(hit)], seen.kinds()
    critical = bool(has & {"outage", "security", "data_loss"})
    is_fault = bool(has & {"broken", "component_down"})
    pressing = "shouting" in has or ("deadline" in has and bool(has & {"outage", "data_loss"}))
    if pressing or "outage" in has or (kinds.count("revenue_loss") > 1 and is_fault) or _shouts(subject, body):
        return "urgent"
    good, bad = kinds.count("mood:positive"), kinds.count("mood:negative")
    if "mood:irony" in has and is_fault:
        return "negative"
    if bad and bad >= good:
        return "negative"
    if good:
        return "positive"
    return "negative" if critical or (is_fault and has & {"affected", "workaround"}) else "neutral"


def tags(subject: str, body: str, facts: Facts) -> tuple[str, ...]:
    """Return up to eight tags of a fixed vocabulary, the most telling first, so that recurring blockers add up."""
    seen = scan(subject, body)
    found = [tag for kind, tag in _TAG_OF_FACT.items() if any(fact.kind == kind for fact in facts.facts)]
    found += [hit.kind.removeprefix("tag:") for hit in seen.named("tag:")]
    return tuple(dict.fromkeys(found))[:_MOST_TAGS]
