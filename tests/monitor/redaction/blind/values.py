"""Random values of each kind, and values that resemble them and are harmless."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable

Make = Callable[[random.Random], str]
ALNUM = string.ascii_letters + string.digits
NAMES = (
    "maria.lopez",
    "t.okafor",
    "jun_wei",
    "anna-lena",
    "o'brien.sean",
    "k8",
    "dev+alerts",
    "PR",
)
DOMAINS = ("acme.io", "mail.uni-bonn.de", "post.example.co.jp", "firma-müller.at", "x.travel")


def chars(rng: random.Random, n: int, alphabet: str = ALNUM) -> str:
    """Return n random characters."""
    return "".join(rng.choices(alphabet, k=n))


def digits(rng: random.Random, n: int) -> str:
    """Return n random digits, the first of them not zero."""
    return rng.choice("123456789") + chars(rng, n - 1, string.digits)


def with_luhn(body: str) -> str:
    """Append the check digit that makes the sum of Luhn's digits divisible by ten."""
    for check in string.digits:
        doubled = [int(c) * (2 - i % 2) for i, c in enumerate((body + check)[-2::-1])]
        if (sum(d - 9 * (d > 9) for d in doubled) + int(check)) % 10 == 0:
            return body + check
    raise AssertionError(body)


def card(rng: random.Random) -> str:
    """Return a card number of one of the large networks, grouped in one of the usual ways."""
    prefix, length = rng.choice([("4", 16), ("52", 16), ("2712", 16), ("37", 15), ("6011", 16)])
    number = with_luhn(prefix + chars(rng, length - len(prefix) - 1, string.digits))
    if length == 15:
        return rng.choice([number, f"{number[:4]} {number[4:10]} {number[10:]}"])
    separator = rng.choice(["", " ", "-"])
    return separator.join(number[i : i + 4] for i in range(0, 16, 4))


def not_a_card(rng: random.Random) -> str:
    """Return digits of the length of a card number with a wrong check digit or prefix."""
    number = with_luhn("4" + chars(rng, 14, string.digits))
    wrong = number[:-1] + str((int(number[-1]) + rng.randint(1, 9)) % 10)
    return rng.choice(
        [wrong, "9" + wrong[1:], f"{wrong[:4]} {wrong[4:8]} {wrong[8:12]} {wrong[12:]}"]
    )


def iban(rng: random.Random) -> str:
    """Return an IBAN with valid check digits, compact or in groups."""
    country, body = rng.choice(
        [
            ("DE", digits(rng, 18)),
            ("FR", digits(rng, 10) + chars(rng, 11, string.ascii_uppercase) + digits(rng, 2)),
            ("GB", "BARC" + digits(rng, 14)),
            ("NL", "ABNA" + digits(rng, 10)),
            ("ES", digits(rng, 20)),
            ("PL", digits(rng, 24)),
        ]
    )
    text = "".join(str(int(c, 36)) for c in body + country + "00")
    whole = f"{country}{98 - int(text) % 97:02d}{body}"
    if rng.random() < 0.5:
        return whole
    return " ".join(whole[i : i + 4] for i in range(0, len(whole), 4))


def not_an_iban(rng: random.Random) -> str:
    """Return an IBAN with a wrong digit, or a code of similar form."""
    whole = iban(rng).replace(" ", "")
    wrong = whole[:-1] + str((int(whole[-1]) + rng.randint(1, 9)) % 10)
    code = "ZZ" + digits(rng, 18)
    return rng.choice([wrong, code, "PO" + digits(rng, 10) + "-" + chars(rng, 6)])


def email(rng: random.Random) -> str:
    """Return an address."""
    return f"{rng.choice(NAMES)}{rng.choice(['', digits(rng, 3)])}@{rng.choice(DOMAINS)}"


def not_an_email(rng: random.Random) -> str:
    """Return a text with an at sign that is no address."""
    return rng.choice(
        [
            f"@{rng.choice(NAMES)}",
            f"react@18.{rng.randint(0, 9)}.{rng.randint(0, 9)}",
            "logo@2x.png",
            "root@localhost",
            "git@gitlab.com:team/project.git",
            "3 kg @ 4.50 EUR",
            "A @ B.T",
            "@app.route('/users')",
            "me at example dot com",
            "x@y",
            f"@types/node@{rng.randint(1, 20)}.0.1",
        ]
    )


def phone(rng: random.Random) -> str:
    """Return a telephone number that can be recognised by its form."""
    d = rng.choice("23456789") + chars(rng, 15, string.digits)
    area = rng.choice("23456789") + chars(rng, 2, string.digits)
    return rng.choice(
        [
            f"+1 {area} {d[:3]} {d[3:7]}",
            f"({area}) {d[:3]}-{d[3:7]}",
            f"{area}.{d[:3]}.{d[3:7]}",
            f"1-{area}-{d[:3]}-{d[3:7]}",
            f"+49 151 {d[:8]}",
            f"+33 6 {d[:2]} {d[2:4]} {d[4:6]} {d[6:8]}",
            f"0{rng.randint(1, 9)} {d[:2]} {d[2:4]} {d[4:6]} {d[6:8]}",
            f"+86 138 {d[:4]} {d[4:8]}",
            f"+91-98{d[:3]}-{d[3:8]}",
            f"0044 20 7{d[:3]} {d[3:7]}",
            f"+5511 9{d[:4]}-{d[4:8]}",
            f"090-{d[:4]}-{d[4:8]}",
            f"+972{digits(rng, 9)}",
            f"+7 (495) {d[:3]}-{d[3:5]}-{d[5:7]}",
            f"040/{d[:8]}",
        ]
    )


def not_a_phone(rng: random.Random) -> str:
    """Return a number that is no telephone number."""
    d = digits(rng, 16)
    return rng.choice(
        [
            f"order {d[:10]}",
            f"invoice no. {d[:3]}-{d[3:6]}-{d[6:10]}",
            f"17{digits(rng, 8)}",
            f"17{digits(rng, 11)}",
            f"20{rng.randint(10, 30)}-0{rng.randint(1, 9)}-1{d[0]} 10:{rng.randint(10, 59)}:00",
            f"1{rng.randint(0, 9)}.0{rng.randint(1, 9)}.2024",
            f"978-3-16-{d[:6]}-{d[6]}",
            f"{d[:1]},{d[1:4]},{d[4:7]}",
            f"${d[:7]}.{d[7:9]}",
            f"3.{d[:10]}",
            f"{d[:5]}-{d[5:9]}",
            f"tracking 1Z{d[:10]}",
            f"pages {d[:3]}-{d[3:6]}",
            f"{chars(rng, 8, 'abcdef0123456789')}-{d[:4]}-4{d[4:7]}-a{d[7:10]}-{d[:12]}",
            f"ticket #{d[:9]}",
            f"0x{d[:8]}",
            f"{d[:2]}.{d[2:8]}, -{d[8:10]}.{d[10:16]}",
        ]
    )


def ip(rng: random.Random) -> str:
    """Return an address of a machine."""
    v4 = ".".join(str(rng.randint(1, 254)) for _ in range(4)).replace("127.", "128.", 1)
    groups = [f"{rng.randint(256, 65535):x}" for _ in range(6)]
    return rng.choice(
        [
            v4,
            f"10.{v4.split('.', 1)[1]}",
            f"2001:db8:{':'.join(groups)}",
            f"fe80::{groups[0]}:{groups[1]}",
        ]
    )


def not_an_ip(rng: random.Random) -> str:
    """Return dotted or colon-separated numbers that are no address."""
    a, b, c, d = (rng.randint(0, 30) for _ in range(4))
    return rng.choice(
        [
            f"version {a}.{b}.{c}.{d}",
            f"v{a}.{b}.{c}.{d}",
            f"Firefox/{a + 90}.0.{b}.{c}",
            f"numpy=={a}.{b}.{c}.{d}",
            f"{a}.{b}.{c}",
            f"{a}.{b}.{c}.{d}.{a}",
            f"300.{a}.{b}.{c}",
            f"see section {a}.{b}.{c}.{d}",
            "x[1::2]",
            "std::vector",
            f"12:{a + 10}:{b + 10}",
            "00:1a:2b:3c:4d:5e",
            "127.0.0.1",
            "255.255.255.0",
            "::1",
        ]
    )


def ssn(rng: random.Random) -> str:
    """Return a number in the assigned ranges."""
    area = rng.choice([*range(1, 666), *range(667, 900)])
    separator = rng.choice("- -")
    return separator.join(
        (f"{area:03d}", f"{rng.randint(1, 99):02d}", f"{rng.randint(1, 9999):04d}")
    )


def not_a_ssn(rng: random.Random) -> str:
    """Return a number of similar form outside of the assigned ranges, or another number."""
    serial = rng.randint(1000, 9999)
    return rng.choice(
        [
            f"000-12-{serial}",
            f"666-12-{serial}",
            f"9{rng.randint(10, 99)}-45-{serial}",
            f"123-00-{serial}",
            "123-45-0000",
            f"12-345-{serial}",
            f"part number 123-45-{serial}",
            f"{digits(rng, 9)}",
            f"2024-05-{rng.randint(10, 28)}",
            f"123-45-{serial}0",
        ]
    )


def jwt(rng: random.Random) -> str:
    """Return a token with a header, claims and a random signature."""

    def part(content: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    header = part({"alg": rng.choice(["HS256", "RS256", "ES384"]), "typ": "JWT"})
    claims = part({"sub": digits(rng, 8), "iat": 1700000000})
    return f"{header}.{claims}.{chars(rng, 43, ALNUM + '-_')}"


def pem(rng: random.Random) -> str:
    """Return a private key of random bytes."""
    kind = rng.choice(["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
    body = base64.b64encode(rng.randbytes(rng.randint(120, 900))).decode()
    newline = rng.choice(["\n", "\n", "\\n"])
    lines = [body[i : i + 64] for i in range(0, len(body), 64)]
    return newline.join(
        (f"-----BEGIN {kind}PRIVATE KEY-----", *lines, f"-----END {kind}PRIVATE KEY-----")
    )


def not_pem(rng: random.Random) -> str:
    """Return a public key, a certificate, or words about keys."""
    body = base64.b64encode(rng.randbytes(200)).decode()
    kind = rng.choice(["PUBLIC KEY", "CERTIFICATE", "RSA PUBLIC KEY", "PGP PUBLIC KEY BLOCK"])
    return rng.choice(
        [
            f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----",
            "It begins with -----BEGIN PRIVATE KEY----- and ends with -----END PRIVATE KEY-----.",
            f"ssh-ed25519 {body[:68]} user",
        ]
    )
