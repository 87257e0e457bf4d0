"""Made-up values for E19: what must be masked on its way to a model, and what looks like it and must stay.

Every number is drawn by a seeded generator and carries the check digits its kind asks for; none is anybody's.
"""

import random
import string
import uuid
from collections.abc import Callable, Iterator

HEX = "0123456789abcdef"
WORDS = string.ascii_letters + string.digits
NETWORKS = {
    "Visa": ("4", 16), "Mastercard": ("5", 16), "Mastercard 2": ("2345", 16), "American Express": ("37", 15),
    "Discover": ("6011", 16), "JCB": ("3540", 16), "Diners": ("36", 14), "UnionPay": ("62", 16), "Visa 19": ("4", 19),
}  # fmt: skip
COUNTRIES = {
    "DE": "18d",
    "FR": "23d",
    "GB": "4a14d",
    "NL": "4a10d",
    "ES": "20d",
    "CH": "17d",
    "NO": "11d",
    "MT": "4a23d",
}


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(count))


def _signs(rng: random.Random, alphabet: str, count: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(count))


def grouped(text: str, *sizes: int, by: str = " ") -> str:
    """Return text cut into groups; the last size goes on to the end."""
    parts: list[str] = []
    at = 0
    while at < len(text):
        size = sizes[min(len(parts), len(sizes) - 1)]
        parts.append(text[at : at + size])
        at += size
    return by.join(parts)


# -- what must not reach a model ---------------------------------------------------------------------------------------


def card(rng: random.Random, network: str) -> str:
    """Return a card number of a network with its Luhn digit."""
    prefix, length = NETWORKS[network]
    prefix += str(rng.randint(1, 5)) if network == "Mastercard" else ""
    body = prefix + _digits(rng, length - len(prefix) - 1)
    total = sum(sum(divmod(int(digit) * (2 - at % 2), 10)) for at, digit in enumerate(reversed(body)))
    return body + str(-total % 10)


def iban(rng: random.Random, country: str) -> str:
    """Return an account number of a country with its two check digits."""
    shape = COUNTRIES[country]
    letters = _signs(rng, string.ascii_uppercase, int(shape.split("a")[0])) if "a" in shape else ""
    account = letters + _digits(rng, int(shape.split("a")[-1].rstrip("d")))
    number = int("".join(str(int(sign, 36)) for sign in f"{account}{country}00"))
    return f"{country}{98 - number % 97:02d}{account}"


def ssn(rng: random.Random) -> str:
    """Return a social security number in the ranges that are issued."""
    area = rng.choice([one for one in range(1, 900) if one != 666])
    return f"{area:03d}-{rng.randint(1, 99):02d}-{rng.randint(1, 9999):04d}"


KEYS: dict[str, Callable[[random.Random], str]] = {
    "AWS": lambda rng: "AKIA" + _signs(rng, string.ascii_uppercase + string.digits, 16),
    "Slack": lambda rng: "xoxb-" + _digits(rng, 12) + "-" + _signs(rng, WORDS, 24),
    "GitHub": lambda rng: "ghp_" + _signs(rng, WORDS, 36),
    "GitLab": lambda rng: "glpat-" + _signs(rng, WORDS, 20),
    "Stripe": lambda rng: "sk_live_" + _signs(rng, WORDS, 24),
    "JWT": lambda rng: ".".join(
        ["eyJ" + _signs(rng, WORDS, 20), "eyJ" + _signs(rng, WORDS, 30), _signs(rng, WORDS, 40)]
    ),
    "PEM": lambda rng: (
        f"-----BEGIN PRIVATE KEY-----\n{_signs(rng, WORDS, 64)}\n{_signs(rng, WORDS, 40)}\n-----END PRIVATE KEY-----"
    ),
    "database": lambda rng: f"postgresql://app:{_signs(rng, WORDS, 12)}@db.internal:5432/x",
    "Google": lambda rng: "AIza" + _signs(rng, WORDS, 35),
    "Anthropic": lambda rng: "sk-ant-api03-" + _signs(rng, WORDS, 40),
    "OpenAI": lambda rng: "sk-proj-" + _signs(rng, WORDS, 48),
    "npm": lambda rng: "npm_" + _signs(rng, WORDS, 36),
    "SendGrid": lambda rng: f"SG.{_signs(rng, WORDS, 22)}.{_signs(rng, WORDS, 43)}",
}


def personal(seed: int = 19, each: int = 30) -> Iterator[tuple[str, str]]:
    """Yield (kind, value as people write it) of what must be masked."""
    rng = random.Random(seed)
    for _ in range(each):
        for network in NETWORKS:
            number = card(rng, network)
            yield "card", number
            yield "card", grouped(number, *((4, 6, 5) if len(number) < 16 else (4,)))
            yield "card", grouped(number, 4, by="-")
        for country in COUNTRIES:
            account = iban(rng, country)
            yield "IBAN", account
            yield "IBAN", grouped(account, 4)
            yield "IBAN", account.lower()
        one = ssn(rng)
        yield "SSN", one
        yield "SSN", one.replace("-", " ")
        for made in KEYS.values():
            yield "key", made(rng)


# -- what must reach it ------------------------------------------------------------------------------------------------


def barcode(body: str) -> str:
    """Return twelve digits with the check digit of an EAN-13."""
    return body + str(-sum(int(digit) * (3 if at % 2 else 1) for at, digit in enumerate(body)) % 10)


HARMLESS: dict[str, Callable[[random.Random], str]] = {
    "order, date and number": lambda rng: f"2026{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}-{rng.randint(1, 999)}",
    "order, 6 to 12 digits": lambda rng: _digits(rng, rng.randint(6, 12)),
    "order, 16 digits": lambda rng: _digits(rng, 16),
    "order, letters and digits": lambda rng: f"ORD-{_digits(rng, 4)}-{_digits(rng, 6)}",
    "ticket id": lambda rng: rng.choice(("T-", "INC-", "CASE ", "#")) + _digits(rng, rng.randint(2, 8)),
    "phone, international": lambda rng: f"+{rng.randint(1, 99)} {_digits(rng, 3)} {_digits(rng, 3)} {_digits(rng, 4)}",
    "phone, 00 and 13 to 15 digits": lambda rng: "00" + str(rng.randint(1, 9)) + _digits(rng, rng.randint(10, 12)),
    "phone, American": lambda rng: f"({rng.randint(201, 989)}) {rng.randint(200, 999)}-{_digits(rng, 4)}",
    "phone, 3-3-4": lambda rng: f"{rng.randint(201, 989)}-{rng.randint(200, 999)}-{_digits(rng, 4)}",
    "parcel, UPS": lambda rng: "1Z" + _signs(rng, string.ascii_uppercase + string.digits, 6) + _digits(rng, 10),
    "parcel, FedEx 12": lambda rng: _digits(rng, 12),
    "parcel, FedEx 15": lambda rng: _digits(rng, 15),
    "parcel, USPS 22": lambda rng: "94" + _digits(rng, 20),
    "parcel, USPS in groups": lambda rng: grouped("94" + _digits(rng, 20), 4),
    "parcel, DHL": lambda rng: _digits(rng, 10),
    "parcel, postal union": lambda rng: f"RR{_digits(rng, 9)}DE",
    "seconds since 1970": lambda rng: str(rng.randint(1_600_000_000, 1_900_000_000)),
    "milliseconds since 1970": lambda rng: str(rng.randint(1_600_000_000_000, 1_900_000_000_000)),
    "microseconds since 1970": lambda rng: str(rng.randint(1_600_000_000_000_000, 1_900_000_000_000_000)),
    "nanoseconds since 1970": lambda rng: str(rng.randint(1_600_000_000_000_000_000, 1_900_000_000_000_000_000)),
    "instant": lambda rng: f"2026-11-{rng.randint(1, 30):02d}T{rng.randint(0, 23):02d}:07:21.123Z",
    "instant, compact": lambda rng: f"202611{rng.randint(1, 30):02d}{_digits(rng, 6)}",
    "UUID": lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
    "git hash": lambda rng: _signs(rng, HEX, 40),
    "git hash, short": lambda rng: _signs(rng, HEX, rng.randint(7, 12)),
    "SHA-256": lambda rng: _signs(rng, HEX, 64),
    "device (IMEI)": lambda rng: "35" + _digits(rng, 13),
    "bar code": lambda rng: barcode("40063" + _digits(rng, 7)),
    "amount": lambda rng: f"{rng.randint(1, 999)},{_digits(rng, 3)}.{_digits(rng, 2)} EUR",
    "version": lambda rng: f"v2026.{rng.randint(1, 12)}.{rng.randint(1, 400)}",
    "address, IPv4": lambda rng: ".".join(str(rng.randint(0, 255)) for _ in range(4)),
    "invoice": lambda rng: f"INV-{_digits(rng, 4)}-{_digits(rng, 5)}",
}  # fmt: skip


def harmless(seed: int = 20, each: int = 200) -> Iterator[tuple[str, str]]:
    """Yield (kind, value) of what must not be masked."""
    rng = random.Random(seed)
    for kind, made in HARMLESS.items():
        for _ in range(each):
            yield kind, made(rng)


SENTENCES = (
    "My number is {}, please help.",
    "{}",
    "It says ({}) and then fails.",
    "1. first\n2. {}\n3. thanks",
    "see {}.",
)


def told(value: str, at: int) -> str:
    """Return a text a customer might write around a value; `at` picks the wording."""
    return SENTENCES[at % len(SENTENCES)].format(value)
