"""The operator's commands, one file a subject; `cli.py` gives them their names."""
