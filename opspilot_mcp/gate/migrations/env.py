"""Alembic's entry: runs the scripts on the connection, and inside the transaction, that `migrate.upgrade` holds."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=False)
context.run_migrations()
