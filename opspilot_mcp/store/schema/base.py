"""The one collection the desk database's tables stand in: a foreign key names a table of another file."""

from opspilot_mcp.store.columns import new_metadata

metadata = new_metadata()
