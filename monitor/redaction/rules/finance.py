"""Credit cards and IBANs."""

from __future__ import annotations

import re

from monitor.redaction.rules.rule import Rule, Span

_CARD = (
    r"\d(?:(?<![\w.,+-]\d)|(?<=[vV][iI][sS][aA]\d)|(?<=[cC][aA][rR][dD]\d))"
    r"(?:[ -]{0,2}\d){12,18}(?![\w]|[-.,]\d)"
)
_PREFIXES = (  # ISO/IEC 7812: first digits, lengths
    ("4", (13, 16, 19)),
    *((str(prefix), (16,)) for prefix in range(51, 56)),
    *((str(prefix), (16,)) for prefix in range(2221, 2721)),
    *((prefix, (15,)) for prefix in ("34", "37")),
    *((prefix, (16, 19)) for prefix in ("6011", "65", *map(str, range(644, 650)))),
    *((str(prefix), (16, 19)) for prefix in range(3528, 3590)),
    *((prefix, (14, 16, 19)) for prefix in ("300", "301", "302", "303", "304", "305", "36")),
    *((prefix, (14, 16, 19)) for prefix in ("38", "39")),
    *((prefix, (16, 17, 18, 19)) for prefix in ("62", "81")),
    *((prefix, tuple(range(13, 20))) for prefix in ("5018", "5020", "5038", "5893", "6304")),
    *((prefix, tuple(range(13, 20))) for prefix in ("6759", "6761", "6762", "6763")),
    *((str(prefix), (16,)) for prefix in range(2200, 2205)),
)
_LENGTHS = dict(_PREFIXES)
_grouped = re.compile(
    r"\d{4}(?P<sep> {1,2}|-)(?:\d{4}(?P=sep)){2,3}\d{1,7}|\d{4}[ -]\d{6}[ -]\d{4,5}"
)


def luhn(digits: str) -> bool:
    """Return whether the check digit is right (ISO/IEC 7812-1, annex B)."""
    total = 0
    for position, digit in enumerate(map(int, reversed(digits))):
        total += digit if position % 2 == 0 else (2 * digit - 9 if digit > 4 else 2 * digit)
    return total % 10 == 0


def _card(match: re.Match[str]) -> Span | None:
    digits = match[0].replace(" ", "").replace("-", "")
    if not match[0].isdigit() and not _grouped.fullmatch(match[0]):
        return None
    lengths = next((_LENGTHS[digits[:n]] for n in (4, 3, 2, 1) if digits[:n] in _LENGTHS), ())
    return match.span() if len(digits) in lengths and luhn(digits) else None


_IBAN = r"[A-Za-z](?<![A-Za-z0-9][A-Za-z])[A-Za-z]\d{2}(?:[ -]?[A-Za-z0-9]){11,30}"
_IBAN_CHARS = {  # SWIFT IBAN registry: characters of an IBAN by country
    **{"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22},
    **{"BI": 27, "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27},
    **{"DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27},
    **{"GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28},
    **{"IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28},
    **{"LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22},
    **{"MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23},
    **{"PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24},
    **{"SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28},
    **{"TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30},
}


def _iban(match: re.Match[str]) -> Span | None:
    """Accept an IBAN by country, length and check digits (ISO 13616, mod 97)."""
    wanted = _IBAN_CHARS.get(match[0][:2].upper())
    at = [i for i, character in enumerate(match[0]) if character.isalnum()]
    if wanted is None or len(at) < wanted:
        return None
    end = at[wanted - 1] + 1
    rest = match.string[match.start() + end : match.start() + end + 1]
    code = re.sub(r"[ -]", "", match[0][:end]).upper()
    if rest.isalnum() and rest.isascii():
        return None
    number = int("".join(str(int(character, 36)) for character in code[4:] + code[:4]))
    return (match.start(), match.start() + end) if number % 97 == 1 else None


RULES = (
    Rule("iban", _IBAN, _iban, retry=True, reach=70),
    Rule("credit_card", _CARD, _card, retry=True, reach=60),
)
