"""What the schemas of both databases are made of alike: how constraints are called, numbered rows, the record."""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text


def new_metadata() -> MetaData:
    """Return an empty collection of tables. Migrations spell its names out: another convention fits no database."""
    return MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def id_column() -> Column[int]:
    """Return a key that counts up by itself."""
    return Column("id", Integer, primary_key=True, autoincrement=True)


def audit_table(metadata: MetaData) -> Table:
    """Return the record's table, as store/chain.py hashes it.

    Append-only: triggers in the migrations refuse UPDATE and DELETE.
    """
    return Table(
        "audit",
        metadata,
        Column("seq", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3 ... without a gap
        Column("at_ms", BigInteger, nullable=False),
        Column("actor", Text, nullable=False),  # the door's principal, never a name from an argument
        Column("action", Text, nullable=False),  # "ticket.created", "incident.acknowledged"
        Column("subject", Text, nullable=False),  # "T-17", "INC-3", "import"
        Column("detail", Text, nullable=False),  # JSON object, our words and ids
        Column("previous", Text, nullable=False),  # the hash of the row before
        Column("hash", Text, nullable=False),
        Index(None, "subject", "seq"),
    )
