"""Full text over tickets: FTS5 with BM25. The only room that knows how words are indexed."""

import json
import re
import unicodedata
from collections.abc import Iterable

from sqlalchemy import Connection, text

# A query of every word costs as much as the commonest of them: the rarest few decide the ranking anyway.
RAREST_TERMS = 4
_WORD = re.compile(r"\w{2,40}", re.UNICODE)
_MAX_WORDS = 200

_INDEX = text("INSERT INTO ticket_search (rowid, subject, body) VALUES (:id, :subject, :body)")
_DOCUMENTS = text("SELECT term, doc FROM ticket_terms WHERE term IN (SELECT value FROM json_each(:terms))")
_MATCH = text(
    "SELECT rowid, bm25(ticket_search, 2.0, 1.0) AS rank FROM ticket_search "
    "WHERE ticket_search MATCH :query ORDER BY rank, rowid LIMIT :limit"
)


def create(conn: Connection) -> None:
    """Create the index beside the tickets table; called by the first migration."""
    conn.exec_driver_sql(
        "CREATE VIRTUAL TABLE ticket_search USING fts5(subject, body, content='tickets', content_rowid='id', "
        'tokenize="unicode61 remove_diacritics 2")'
    )
    conn.exec_driver_sql("CREATE VIRTUAL TABLE ticket_terms USING fts5vocab('ticket_search', 'row')")


def index(conn: Connection, rows: Iterable[tuple[int, str, str]]) -> None:
    """Add (ticket number, subject, body) rows; a ticket's words never change afterwards."""
    batch = [{"id": number, "subject": subject, "body": body} for number, subject, body in rows]
    if batch:
        conn.execute(_INDEX, batch)


def nearest(conn: Connection, words: str, *, limit: int) -> list[tuple[int, float]]:
    """Return (ticket number, score > 0) of the tickets nearest to `words`, best first; empty when no word is known."""
    query = _query(conn, words)
    if not query:
        return []
    return [(row.rowid, -row.rank) for row in conn.execute(_MATCH, {"query": query, "limit": limit})]


def _query(conn: Connection, words: str) -> str:
    terms = sorted({_fold(word) for word in _WORD.findall(words)[:_MAX_WORDS]})
    known = conn.execute(_DOCUMENTS, {"terms": json.dumps(terms)}).all()
    rarest = [row.term for row in sorted(known, key=lambda row: (row.doc, row.term))[:RAREST_TERMS]]
    return " OR ".join(f'"{term}"' for term in rarest)


def _fold(word: str) -> str:
    """Return the word as the tokenizer stores it: lower case, without diacritics."""
    plain = unicodedata.normalize("NFKD", word.lower())
    return "".join(char for char in plain if not unicodedata.combining(char))
