"""The vocabularies of every language, compiled once on first use."""

from functools import lru_cache
from types import ModuleType

from opspilot_mcp.desk.wording import Phrases, compile_phrases, join_phrases
from opspilot_mcp.desk.words import de, en, es, fr, other

SUBSTRINGS = other.SUBSTRINGS


def _phrases(block: str) -> list[str]:
    """Split a block at commas; line ends are blanks, and a group may go on after the bar that ends a line."""
    joined = " ".join(block.split()).replace("| ", "|")
    return [phrase.strip() for phrase in joined.split(",") if phrase.strip()]


def _language(module: ModuleType) -> Phrases:
    vocabulary = {kind: _phrases(block) for kind, block in module.FACTS.items()}
    for prefix, blocks in (("tag", module.TAGS), ("cat", module.CATEGORIES), ("mood", module.MOODS)):
        vocabulary |= {f"{prefix}:{name}": _phrases(block) for name, block in blocks.items()}
    return compile_phrases(vocabulary, module.GROUPS)


@lru_cache(maxsize=1)
def all_phrases() -> Phrases:
    """Return the phrases of all languages; kinds are fact kinds, or `tag:`, `cat:`, `mood:` and a name."""
    return join_phrases([_language(module) for module in (en, de, fr, es, other)])
