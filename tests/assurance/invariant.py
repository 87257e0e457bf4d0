"""The one rule behind every test here, checked without the gate's own code: bytes that left were signed, and left once.

Each byte string that reached a sink must hash to a payload with a good signature of a registered person, in force
when the message was claimed, its nonce spent on this message, and no message may leave twice.
"""

import base64
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Row = dict[str, Any]


def check(root: Path, wires: Iterable[bytes] = ()) -> list[str]:
    """Assert the rule over the sent folder and `wires`; returns the ids of the messages that left."""
    sent = [path.read_bytes() for path in (root / "gate" / "sent").iterdir() if not path.name.startswith(".")]
    left = [*sent, *wires]
    return _all_signed(root, left) if left else []


def _all_signed(root: Path, left: list[bytes]) -> list[str]:
    tables = _read(root / "gate" / "gate.db")
    pin = json.loads((root / "gate" / "approvers" / "root.json").read_bytes())["payload"]
    keys = _registered(tables["approvers"], pin)
    signed: dict[str, list[tuple[Row, Row]]] = {}
    for approval in tables["approvals"]:
        said = _payload(approval, keys)
        if said and said["instance"] == pin["instance"]:
            signed.setdefault(said["sha256"], []).append((approval, said))
    ids = [_signed_id(content, tables, keys, signed) for content in left]
    assert len(ids) == len(set(ids)), f"a message left twice: {ids}"
    return ids


def _read(path: Path) -> dict[str, list[Row]]:
    raw = sqlite3.connect(path)
    raw.row_factory = sqlite3.Row
    names = ("messages", "approvals", "approvers", "nonces", "deliveries")
    try:
        return {name: [dict(row) for row in raw.execute(f"SELECT * FROM {name}")] for name in names}  # noqa: S608
    finally:
        raw.close()


def _canonical(payload: Mapping[str, object]) -> str:
    return json.dumps(payload, sort_keys=True, separators=(",", ":"))


def _good(public: str, purpose: str, payload: str, signature: str) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public))
        key.verify(base64.b64decode(signature, validate=True), purpose.encode() + b"\0" + payload.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def _registered(rows: list[Row], pin: Row) -> dict[str, Row]:
    """Return the keys whose registration leads back to the pinned root."""
    known: dict[str, Row] = {}
    voucher = {pin["key_id"]: pin["public_key"]}
    for _ in rows:
        for row in rows:
            signer = voucher.get(row["registered_by"])
            payload = _canonical(
                {name: row[name] for name in ("name", "key_id", "public_key", "registered_by", "registered_ms")}
                | {"instance": pin["instance"]}
            )
            if signer and _good(signer, "opspilot.registration.v1", payload, row["registration"]):
                known[row["key_id"]], voucher[row["key_id"]] = row, row["public_key"]
    return known


def _signed_id(
    content: bytes, tables: dict[str, list[Row]], keys: dict[str, Row], signed: dict[str, list[tuple[Row, Row]]]
) -> str:
    """Return the id of the message these bytes are, having found enough signatures in force when it was claimed."""
    digest = hashlib.sha256(content).hexdigest()
    rows = {row["id"]: row for row in tables["messages"]}
    signers, found, solo = set[str](), "", False
    for approval, said in signed.get(digest, []):
        if _held(said, rows[approval["message_id"]], keys[approval["key_id"]], tables):
            signers.add(said["approver"])
            found, solo = said["message"], solo or said["solo"]
    assert found, f"bytes left that nobody signed: {content[:200]!r}"
    risk = next(row["risk"] for row in rows.values() if row["sha256"] == digest)
    assert risk != "blocked", f"{found} was blocked and left"
    assert risk != "high" or solo or len(signers) >= 2, f"{found} is high risk and was signed by {signers} alone"
    return found


def _payload(approval: Row, keys: dict[str, Row]) -> Row:
    """Return what was signed, nothing when the signature is not a registered key's."""
    key = keys.get(approval["key_id"])
    if key is None or not _good(key["public_key"], "opspilot.approval.v1", approval["payload"], approval["signature"]):
        return {}
    said: Row = json.loads(approval["payload"])
    return said if said.get("key_id") == approval["key_id"] and said.get("approver") == key["name"] else {}


def _held(said: Row, message: Row, key: Row, tables: dict[str, list[Row]]) -> bool:
    """Whether the signature was for this message and in force at one of its claims."""
    is_its = (said["message"], said["version"]) == (f"PR-{message['proposal']}", message["version"])
    is_to = said["recipients"] == [message["recipient"]] and said["channel"] == message["channel"]
    spent = any(n["nonce"] == said["nonce"] and n["message_id"] == message["id"] for n in tables["nonces"])
    claims = [row["started_ms"] for row in tables["deliveries"] if row["message_id"] == message["id"]]
    revoked = key["revoked_ms"] if key["revoked_ms"] is not None else float("inf")
    in_force = any(said["issued_ms"] <= at < min(said["expires_ms"], revoked) for at in claims)
    return is_its and is_to and spent and in_force
