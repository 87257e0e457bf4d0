"""The baseline: a FastMCP server with one tool that does nothing."""

from fastmcp import FastMCP

mcp = FastMCP("bare")


@mcp.tool
async def noop(text: str = "") -> dict[str, int]:
    """Do nothing."""
    return {"chars": len(text)}


if __name__ == "__main__":
    mcp.run(show_banner=False)
