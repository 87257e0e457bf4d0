"""Ed25519 keys, sealed under a passphrase: scrypt makes the sealing key, ChaCha20-Poly1305 seals.

The private key is never stored clear. The name and the key's id are bound to the sealed text, so that one person's
file cannot stand in for another's.
"""

import base64
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from opspilot_mcp.errors import BadSetting, InvalidInput, NotAllowed
from opspilot_mcp.gate import canonical

SCRYPT_N = 2**16
_SCRYPT_R, _SCRYPT_P = 8, 1
MIN_PASSPHRASE = 12
_MAX_PASSPHRASE = 1024


class WrongPassphrase(NotAllowed):
    """The passphrase does not open the key."""


@dataclass(frozen=True, repr=False)
class KeyPair:
    """A private key in memory, and its public half. Has no readable form, so that no log can show it."""

    private: Ed25519PrivateKey
    public: bytes

    @property
    def key_id(self) -> str:
        return key_id(self.public)

    def sign(self, purpose: str, payload_text: str) -> str:
        """Return the base64 signature over a canonical payload."""
        return b64(self.private.sign(canonical.to_sign(purpose, payload_text)))


def new_pair() -> KeyPair:
    """Return a fresh key."""
    return _pair(Ed25519PrivateKey.generate())


def from_raw(raw: bytes) -> KeyPair:
    """Return the key whose 32 private bytes are given."""
    return _pair(Ed25519PrivateKey.from_private_bytes(raw))


def raw(pair: KeyPair) -> bytes:
    """Return the 32 private bytes."""
    return pair.private.private_bytes_raw()


def _pair(private: Ed25519PrivateKey) -> KeyPair:
    return KeyPair(private, private.public_key().public_bytes_raw())


def key_id(public: bytes) -> str:
    """Return the short name of a public key: 32 hex digits of its SHA-256."""
    return canonical.sha256(public)[:32]


def verifies(public: bytes, purpose: str, payload_text: str, signature: str) -> bool:
    """Whether `signature` (base64) is that key's over that payload."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(unb64(signature), canonical.to_sign(purpose, payload_text))
    except (InvalidSignature, ValueError):
        return False
    return True


def check_strength(passphrase: str) -> None:
    """Refuse a passphrase too short to stand against a stolen key file. Raises InvalidInput."""
    if not MIN_PASSPHRASE <= len(passphrase) <= _MAX_PASSPHRASE or len(set(passphrase)) < 5:
        raise InvalidInput(f"The passphrase is too weak. Use {MIN_PASSPHRASE} characters or more, such as four words.")


def seal(pair: KeyPair, passphrase: str, *, name: str) -> dict[str, object]:
    """Return the key file of `name`: the private key under the passphrase."""
    check_strength(passphrase)
    salt, nonce = os.urandom(16), os.urandom(12)
    sealed = ChaCha20Poly1305(_derive(passphrase, salt, SCRYPT_N)).encrypt(nonce, raw(pair), _bound(name, pair.key_id))
    return {
        "format": "opspilot-key-1",
        "name": name,
        "key_id": pair.key_id,
        "scrypt_n": SCRYPT_N,
        "salt": b64(salt),
        "nonce": b64(nonce),
        "sealed": b64(sealed),
    }


def unseal(file: Mapping[str, object], passphrase: str, *, name: str) -> KeyPair:
    """Return the key in a key file. Raises WrongPassphrase, or BadSetting for a damaged file. Costs 64 MB and 0.2 s."""
    try:
        n, found_id = int(str(file["scrypt_n"])), str(file["key_id"])
        salt, nonce, sealed = (unb64(str(file[part])) for part in ("salt", "nonce", "sealed"))
    except (KeyError, ValueError) as error:
        raise BadSetting(f"The key file of {name} is damaged. Restore it from a backup.") from error
    if not SCRYPT_N <= n <= 2**20 or n & (n - 1):
        raise BadSetting(f"The key file of {name} asks for scrypt n={n}. Restore it from a backup.")
    try:
        opened = ChaCha20Poly1305(_derive(passphrase, salt, n)).decrypt(nonce, sealed, _bound(name, found_id))
        pair = from_raw(opened)
    except (InvalidTag, ValueError):
        raise WrongPassphrase("The passphrase does not open the key. Try again.") from None
    if pair.key_id != found_id:
        raise BadSetting(f"The key file of {name} holds another key. Restore it from a backup.")
    return pair


def _derive(passphrase: str, salt: bytes, n: int) -> bytes:
    # NFKC: the same keys pressed on two keyboards give the same bytes.
    plain = unicodedata.normalize("NFKC", passphrase).encode()
    return Scrypt(salt=salt, length=32, n=n, r=_SCRYPT_R, p=_SCRYPT_P).derive(plain)


def _bound(name: str, found_id: str) -> bytes:
    return f"opspilot-key-1|{name}|{found_id}".encode()


def b64(data: bytes) -> str:
    """Return base64 text."""
    return base64.b64encode(data).decode()


def unb64(text: str) -> bytes:
    """Return the bytes of base64 text. Raises ValueError."""
    return base64.b64decode(text, validate=True)
