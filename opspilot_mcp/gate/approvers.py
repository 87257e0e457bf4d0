"""Who may sign. A key counts when its registration is signed by an older key, back to the root pinned in a file.

A row somebody else writes into the database is therefore no approver. Revoking leaves a mark in the database and a
file beside the key, so that neither alone brings a key back.
"""

import itertools
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, bindparam, insert, select, update

from opspilot_mcp.clock import DAY_MS, MINUTE_MS
from opspilot_mcp.errors import BadSetting, Conflict, InvalidInput, NotAllowed, NotFound, quoted
from opspilot_mcp.gate import audit, canonical, keys
from opspilot_mcp.gate.home import Home, read_json, write_json
from opspilot_mcp.gate.schema import approvers
from opspilot_mcp.store.files import write_private

PURPOSE = "opspilot.registration.v1"
ROOT_PURPOSE = "opspilot.root.v1"
BAD_TRIES = 5
LOCK_MS = 15 * MINUTE_MS
IDLE_MS = 15 * MINUTE_MS
SESSION_MS = 8 * 60 * MINUTE_MS
# ASCII lower case only: no two names can look alike through case, width or another script.
_NAME = re.compile(r"[a-z][a-z0-9._-]{1,39}", re.ASCII)
_ALL = select(approvers).order_by(approvers.c.registered_ms, approvers.c.key_id)


class Approver(BaseModel):
    """A registered key, checked back to the root. `is_active` is False once revoked."""

    model_config = ConfigDict(frozen=True)

    name: str
    key_id: str
    public_key: bytes
    registered_ms: int
    registered_by: str
    is_active: bool


@dataclass(frozen=True)
class Root:
    """What is pinned outside the database: the gate's instance, its first approver's key, its checkpoint key."""

    instance: str
    key_id: str
    public_key: bytes
    checkpoint_key: bytes


@dataclass(repr=False)
class Session:
    """An approver who typed the passphrase. Lives in memory only, for 15 idle minutes and 8 hours at most."""

    name: str
    pair: keys.KeyPair
    opened_ms: int
    used_ms: int

    def touch(self, now: int) -> None:
        """Note that the approver acted. Raises NotAllowed once the session is over."""
        if not self.is_live(now):
            raise NotAllowed("The sign-in is over. Sign in again with your passphrase.")
        self.used_ms = now

    def is_live(self, now: int) -> bool:
        """Whether the key may still be used."""
        return self.opened_ms <= now and now - self.used_ms < IDLE_MS and now - self.opened_ms < SESSION_MS


# -- the root ----------------------------------------------------------------------------------------------------------


def pin_root(home: Home, instance: str, pair: keys.KeyPair, checkpoint_public: bytes) -> None:
    """Write the root file of a new gate."""
    payload = {
        "instance": instance,
        "key_id": pair.key_id,
        "public_key": keys.b64(pair.public),
        "checkpoint_key": keys.b64(checkpoint_public),
    }
    write_json(home.root_pin, {"payload": payload, "signature": pair.sign(ROOT_PURPOSE, canonical.text(payload))})


def load_root(home: Home) -> Root:
    """Return the pinned root. Raises BadSetting when the file is missing or was changed."""
    if not home.root_pin.exists():
        raise BadSetting("The gate is not set up. Run `opspilot-mcp gate init`.")
    found = read_json(home.root_pin)
    try:
        payload, signature = found["payload"], str(found["signature"])
        assert isinstance(payload, dict)  # noqa: S101 - the except below turns it into a sentence
        root = Root(
            str(payload["instance"]),
            str(payload["key_id"]),
            keys.unb64(str(payload["public_key"])),
            keys.unb64(str(payload["checkpoint_key"])),
        )
        good = keys.verifies(root.public_key, ROOT_PURPOSE, canonical.text(payload), signature)
    except (KeyError, ValueError, AssertionError):
        good = False
    if not good or keys.key_id(root.public_key) != root.key_id:
        raise BadSetting(f"{home.root_pin} was changed. Restore the gate folder from a backup.")
    return root


# -- registration ------------------------------------------------------------------------------------------------------


def check_name(name: str) -> str:
    """Return an approver's name as it is stored. Raises InvalidInput."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{quoted(name)} is not an approver's name. Use 2 to 40 of a-z, 0-9, '.', '_', '-'.")
    return name


def _registration(instance: str, name: str, public: bytes, registered_by: str, at_ms: int) -> str:
    return canonical.text(
        {
            "instance": instance,
            "name": name,
            "key_id": keys.key_id(public),
            "public_key": keys.b64(public),
            "registered_by": registered_by,
            "registered_ms": at_ms,
        }
    )


def register(
    conn: Connection, home: Home, root: Root, name: str, public: bytes, signer: keys.KeyPair, *, by: str, now: int
) -> None:
    """Add an approver, vouched for by `signer`. Raises Conflict when the name has a key, NotAllowed for a stranger."""
    trusted = load(conn, home, root)
    if any(known.name == name and known.is_active for known in trusted.values()):
        raise Conflict(f"{name} has a key already. Revoke it first with `opspilot-mcp gate approver revoke {name}`.")
    if signer.key_id != root.key_id or trusted:
        _require_active(trusted, signer.key_id)
    payload = _registration(root.instance, name, public, signer.key_id, now)
    conn.execute(
        insert(approvers).values(
            key_id=keys.key_id(public),
            name=name,
            public_key=keys.b64(public),
            registered_ms=now,
            registered_by=signer.key_id,
            registration=signer.sign(PURPOSE, payload),
            bad_tries=0,
            locked_until_ms=0,
        )
    )
    audit.record(conn, by, "approver.added", name, now=now, detail={"key_id": keys.key_id(public)})


def _require_active(trusted: Mapping[str, Approver], key_id: str) -> Approver:
    found = trusted.get(key_id)
    if found is None or not found.is_active:
        raise NotAllowed("This key is not registered or was revoked. Ask another approver.")
    return found


def load(conn: Connection, home: Home, root: Root) -> dict[str, Approver]:
    """Return every key whose registration leads back to the root, by key id, oldest first; others do not count."""
    trusted: dict[str, Approver] = {}
    revoked_files = {path.stem for path in home.approvers.glob("*.revoked")}
    rows = {str(row["key_id"]): dict(row) for row in conn.execute(_ALL).mappings()}
    grew = True
    while grew:
        grew = False
        for key_id, row in rows.items():
            if key_id not in trusted and (found := _trusted(row, root, trusted, revoked_files)):
                trusted[key_id], grew = found, True
    return trusted


def _trusted(
    row: Mapping[str, object], root: Root, trusted: Mapping[str, Approver], revoked_files: set[str]
) -> Approver | None:
    """Return the approver of a row whose registration holds, else None."""
    voucher_id, name, at_ms = str(row["registered_by"]), str(row["name"]), int(str(row["registered_ms"]))
    voucher = root.public_key if voucher_id == root.key_id else None
    if voucher is None and voucher_id in trusted:
        voucher = trusted[voucher_id].public_key
    try:
        public = keys.unb64(str(row["public_key"]))
    except ValueError:
        return None
    payload = _registration(root.instance, name, public, voucher_id, at_ms)
    if voucher is None or row["key_id"] != keys.key_id(public) or not _NAME.fullmatch(name):
        return None
    if not keys.verifies(voucher, PURPOSE, payload, str(row["registration"])):
        return None
    return Approver(
        name=name,
        key_id=str(row["key_id"]),
        public_key=public,
        registered_ms=at_ms,
        registered_by=voucher_id,
        is_active=row["revoked_ms"] is None and str(row["key_id"]) not in revoked_files,
    )


def active_names(trusted: Mapping[str, Approver]) -> set[str]:
    """Return the names with a key in force: two keys of one name are one person."""
    return {approver.name for approver in trusted.values() if approver.is_active}


def revoke(conn: Connection, home: Home, root: Root, name: str, *, by: str, now: int) -> None:
    """Take a person's key out of force at once, for approvals already signed too. The last one cannot be revoked."""
    trusted = load(conn, home, root)
    theirs = [known for known in trusted.values() if known.name == name and known.is_active]
    if not theirs:
        raise NotFound(f"There is no active approver {quoted(name)}. `opspilot-mcp gate approver list` shows them.")
    if active_names(trusted) == {name}:
        raise NotAllowed(f"{name} is the last approver. Add another first, or stop everything with `gate kill`.")
    for known in theirs:
        conn.execute(update(approvers).where(approvers.c.key_id == known.key_id).values(revoked_ms=now))
        audit.record(conn, by, "approver.revoked", name, now=now, detail={"key_id": known.key_id})
        write_private(home.approvers / f"{known.key_id}.revoked", b"")


# -- sign-in -----------------------------------------------------------------------------------------------------------


def save_key(home: Home, name: str, pair: keys.KeyPair, passphrase: str) -> None:
    """Write a person's sealed key."""
    write_json(home.approvers / f"{check_name(name)}.json", keys.seal(pair, passphrase, name=name))


def begin_try(conn: Connection, home: Home, root: Root, name: str, *, now: int) -> str:
    """Count a sign-in before the passphrase is tried, and return the key it is for.

    Counted first, in a transaction of its own: tries in parallel cannot slip past the limit.
    Raises NotAllowed while locked out.
    """
    known = next((one for one in load(conn, home, root).values() if one.name == name and one.is_active), None)
    if known is None:
        raise NotAllowed("The name or the passphrase is wrong. Try again.")
    row = conn.execute(
        select(approvers.c.bad_tries, approvers.c.locked_until_ms).where(approvers.c.key_id == known.key_id)
    ).one()
    if now < row.locked_until_ms:
        raise NotAllowed(
            f"Too many wrong passphrases. Try again in {-(-(row.locked_until_ms - now) // MINUTE_MS)} min."
        )
    tries = row.bad_tries + 1
    locked = now + min(LOCK_MS * 2 ** min(tries - BAD_TRIES, 10), DAY_MS) if tries >= BAD_TRIES else 0
    conn.execute(
        update(approvers).where(approvers.c.key_id == known.key_id).values(bad_tries=tries, locked_until_ms=locked)
    )
    return known.key_id


_CLEAR = update(approvers).where(approvers.c.key_id == bindparam("one")).values(bad_tries=0, locked_until_ms=0)


def end_try(conn: Connection, name: str, key_id: str, *, good: bool, now: int) -> None:
    """Clear the count after a good passphrase; write down a bad one."""
    if good:
        conn.execute(_CLEAR, {"one": key_id})
    audit.record(conn, f"person:{name}", "sign_in" if good else "sign_in.failed", name, now=now)


def open_key(home: Home, name: str, key_id: str, passphrase: str) -> keys.KeyPair:
    """Return the person's key. Slow by design: call it outside the event loop and outside a transaction."""
    pair = keys.unseal(read_json(home.approvers / f"{check_name(name)}.json"), passphrase, name=name)
    if pair.key_id != key_id:
        raise keys.WrongPassphrase("The key file is not the registered key. Ask another approver to look.")
    return pair


# -- separation of duties ----------------------------------------------------------------------------------------------

_LOOKS_LIKE = str.maketrans("аеорсухіјѕԁһӏνοαρτυικ0135", "aeopcyxijsdhlvoaptuikoles")


def is_same_person(approver: str, principal: str) -> bool:
    """Whether the proposing principal names the approver: in any case, width or look-alike script, or `x for ana`."""
    plain = _folded(approver)
    tokens = [token for token in re.split(r"[^a-z0-9]+", _folded(principal, keep=True)) if token]
    return plain == _folded(principal) or plain in tokens or any(token == plain for token in _joined(tokens))


def _folded(text: str, *, keep: bool = False) -> str:
    spread = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    bare = "".join(char for char in spread if not unicodedata.combining(char) and unicodedata.category(char) != "Cf")
    bare = bare.translate(_LOOKS_LIKE)
    return bare if keep else re.sub(r"[^a-z0-9]", "", bare)


def _joined(tokens: list[str]) -> list[str]:
    return [a + b for a, b in itertools.pairwise(tokens)]


def os_user() -> str:
    """Return who runs this terminal, for the record of decisions that need no signature."""
    return f"terminal:{os.getuid()}"
