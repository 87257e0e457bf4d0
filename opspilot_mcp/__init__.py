"""OpsPilot MCP: a support desk and alert-storm calmer for LLM agents, with a gate no agent can pass."""

__version__ = "0.1.0"
