"""Full text over tickets: FTS5 with BM25. The only room that knows how words are indexed.

A query of every word costs as much as the commonest of them, and the rare ones decide the ranking anyway: the rarest
are asked for, as many as fit a budget of rows to score, and counting a word stops at COMMON. So a query's cost does
not grow with the desk, and on a small desk every word counts.
"""

import re
from collections.abc import Iterable
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, text

MOST_TERMS = 40
BUDGET = 4_000  # rows one query may score
COMMON = 500  # tickets with a word from which it tells little
_MAX_WORDS = 100
_MOST_KNOWN = 20_000
# Half of a text's words are common ones, and counting those costs most of a query. Nothing rests on it but speed.
_COMMON_WORDS: WeakKeyDictionary[Engine, set[str]] = WeakKeyDictionary()
_WORD = re.compile(r"\w{2,40}", re.UNICODE)

_INDEX = text("INSERT INTO ticket_search (rowid, subject, body) VALUES (:id, :subject, :body)")
_COUNT = text("SELECT count(*) FROM (SELECT 1 FROM ticket_search WHERE ticket_search MATCH :term LIMIT :common)")
_MATCH = text(
    "SELECT rowid, bm25(ticket_search, 2.0, 1.0) AS rank FROM ticket_search "
    "WHERE ticket_search MATCH :query ORDER BY rank, rowid LIMIT :limit"
)


def create(conn: Connection) -> None:
    """Create the index beside the tickets table; called by the first migration."""
    conn.exec_driver_sql(
        "CREATE VIRTUAL TABLE ticket_search USING fts5(subject, body, content='tickets', content_rowid='id', "
        'tokenize="porter unicode61 remove_diacritics 2")'
    )


def index(conn: Connection, rows: Iterable[tuple[int, str, str]]) -> None:
    """Add (ticket number, subject, body) rows; a ticket's words never change afterwards."""
    batch = [{"id": number, "subject": subject, "body": body} for number, subject, body in rows]
    if batch:
        conn.execute(_INDEX, batch)


def nearest(conn: Connection, words: str, *, limit: int, budget: int = BUDGET) -> list[tuple[int, float]]:
    """Return (ticket number, score > 0) of the tickets nearest to `words`, best first; empty when no word is known.

    `budget` is how many rows the query may score: fewer are faster, and look at fewer of the words.
    """
    counts = _counts(conn, words)
    rare = _affordable(counts, budget)
    if rare:
        query = " OR ".join(f'"{term}"' for term in rare)
    else:
        # Only common words: tickets that hold them together. The longest say the most.
        query = " AND ".join(f'"{term}"' for term in sorted(counts, key=lambda term: (-len(term), term))[:4])
    if not query:
        return []
    return [(row.rowid, -row.rank) for row in conn.execute(_MATCH, {"query": query, "limit": limit})]


def _affordable(counts: dict[str, int], budget: int) -> list[str]:
    """Return the rarest words, as many as the budget pays for."""
    chosen: list[str] = []
    spent = 0
    for count, term in sorted((count, term) for term, count in counts.items() if count < COMMON)[:MOST_TERMS]:
        spent += count
        if chosen and spent > budget:
            break
        chosen.append(term)
    return chosen


def _counts(conn: Connection, words: str) -> dict[str, int]:
    """Return how many tickets hold each known word, counted up to COMMON. The index folds and stems both sides."""
    terms = [*dict.fromkeys(word.lower() for word in _WORD.findall(words))][:_MAX_WORDS]
    common = _known_common(conn)
    found = {term: COMMON if term in common else _count(conn, term) for term in terms}
    common.update(term for term, count in found.items() if count >= COMMON)
    return {term: count for term, count in found.items() if count}


def _count(conn: Connection, term: str) -> int:
    found: int = conn.execute(_COUNT, {"term": f'"{term}"', "common": COMMON}).scalar_one()
    return found


def _known_common(conn: Connection) -> set[str]:
    """Return the words this connection has counted up to COMMON: a word that is common stays so."""
    known = _COMMON_WORDS.setdefault(conn.engine, set())
    if len(known) > _MOST_KNOWN:
        known.clear()
    return known
