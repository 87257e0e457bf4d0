"""Drives an installed opspilot-mcp from outside, standard library only: demo, doctor, and one call over stdio."""

import json
import os
import subprocess
import sys
import tempfile

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "smoke", "version": "0"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def ask(server: "subprocess.Popen[bytes]", number: int, method: str, **params: object) -> dict:
    message = {"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, "_meta": META}}
    server.stdin.write(json.dumps(message).encode() + b"\n")
    server.stdin.flush()
    while True:
        answer = json.loads(server.stdout.readline())
        if answer.get("id") == number:
            return answer["result"]


def main(command: str) -> None:
    """Raise when anything a new user would do first does not work."""
    told = json.loads(subprocess.run([command, "demo", "--json"], check=True, capture_output=True).stdout)
    assert told["sent_before_signature"] == 0, told
    assert told["delivered_bytes"] > 0, told
    assert told["tickets"] == 24, told
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "OPSPILOT_HOME": os.path.join(home, "desk")}
        server = subprocess.Popen([command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        tools = {tool["name"] for tool in ask(server, 1, "tools/list")["tools"]}
        assert {"get_ticket", "list_open_tickets", "triage_ticket", "correlate_alerts", "escalate"} <= tools, tools
        made = ask(server, 2, "tools/call", name="create_ticket", arguments={"subject": "Hello", "body": "It works?"})
        assert made["structuredContent"]["id"] == "T-1", made
        server.stdin.close()
        assert server.wait(20) == 0
        subprocess.run([command, "doctor"], check=True, env=env, stdout=subprocess.DEVNULL)
    print(f"smoke: {len(tools)} tools, demo delivered {told['delivered_bytes']} signed bytes")


if __name__ == "__main__":
    main(sys.argv[1])
