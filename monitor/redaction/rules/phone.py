"""Telephone numbers of all countries.

A number is recognised by its form (international prefix, North American groups, national prefix 0)
or by a word such as "phone" in front of it. Digits without separators, and numbers that follow a
word such as "order", are telephone numbers only with an international prefix or such a word.
"""

from __future__ import annotations

import re

from monitor.redaction.rules.rule import Rule, Span

_CANDIDATE = r"[+(\d](?<![\w+][+(\d])(?:(?<=\d)|(?<=\+)\d|(?<=\()\+?\d)(?:[ ().\-/]{0,3}\d){6,24}"
_COUNTRY = (  # ITU-T E.164: assigned country codes
    "(?:1|7|2[07]|3[0123469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    "|2(?:1[1-368]|[2-46]\\d|5[0-8]|9[01789])|3(?:5\\d|7[0-9]|8[0-35-79])|42[013]"
    "|5(?:0\\d|9\\d)|6(?:7[02-9]|8[0-35-9]|9[0-2])|8(?:00|5[02356]|70|78|8[0-36-8])"
    "|9(?:6[0-8]|7[0-79]|9[2-68]))"
)
_international = re.compile(rf"\(?\+\)?[ (]?{_COUNTRY}(?=\D|\d)").match
_exit_code = re.compile(rf"\(?00 ?{_COUNTRY}(?=\D|\d)").match
_north_american = re.compile(
    r"(?:\+?1[-. ]{1,2})?(?:\((?P<area>\d{3})\)[ -.]{0,2}|(?P<plain>\d{3})(?P<sep>[-. /]))"
    r"\d{3}[-. ]\d{4}"
).match
_value = re.compile(r" \d{1,12}(?!\w)").match
_trunk = re.compile(r"\(?0[1-9]|\(?00[1-9 ]").match
_bracketed = re.compile(r"\((?!(?:19|20)\d\d\))\d{2,5}\)[ -]?\d{3,5}[ -]\d{3,5}").match
_russian = re.compile(r"8[ -]?\(?\d{3}\)?[ -]\d{3}[ -]?\d\d[ -]?\d\d").match
_date = re.compile(
    r"(?:\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)\d\d|(?:19|20)\d\d[-/.](?:0\d|1[0-2])[-/.][0-3]\d)"
    r"(?!\d)"
).match
_row = re.compile(r"\d\d(?: \d\d){5}").match  # no country writes six groups of two digits
_CONTEXT_CHARS = 48
_NEAR_CHARS = 4  # such as ": " or " is "
_MAX_GROUPS = 12

_PHONE_WORDS = """
    phone phones telephone tel call calls called calling callback mobile cell cellphone cellular
    whatsapp viber fax sms dial contact hotline helpline landline ph mob
    teléfono telefono móvil movil celular llámame llamame llama llamar llame telefone ligue ligar
    telemóvel téléphone telephone portable appelez appelle appeler joindre telefon telefonnummer
    telefonisch handy handynummer mobil mobilnummer rufnummer anrufen erreichbar cellulare chiama
    chiamami telefoon telefoonnummer bel bellen komórka komórkowy numer telefonu телефон телефону
    телефона тел звоните позвоните позвони мобильный मोबाइल फ़ोन फोन هاتف جوال موبايل تلفن
"""
_PHONE = frozenset(_PHONE_WORDS.split())
_OWNERS = frozenset({"my", "your", "his", "her", "our", "their"})  # "my number"
_OWNERS |= {"mi", "tu", "su", "mon", "ton", "votre", "meu", "seu", "meine", "deine", "ihre", "mio"}
_NUMBERS = frozenset({"number", "número", "numéro", "numero", "nummer"})
_REACH = frozenset({"text", "reach", "reached", "ring", "message"})  # "text me", "reached at"
_OBJECTS = frozenset({"me", "us", "him", "her", "them", "at", "on"})
_OTHER_WORDS = """
    order orders invoice invoices ticket tickets tracking parcel shipment receipt ref reference
    isbn issn sku serial account acct case id ids version epoch timestamp unix part model po upc
    ean imei vin barcode booking reservation confirmation transaction customer policy claim batch
    lot item product article job build commit hash seed range coordinates coordinate page pages
    line lines section doi bug issue nonce port # bestellnummer bestellung rechnung kundennummer
    rechnungsnummer auftrag auftragsnummer sendungsnummer commande facture pedido factura fatura
    ordine fattura zamówienie zamówienia заказ заказа счёт счет артикул
"""
_OTHER = frozenset(_OTHER_WORDS.split())
_UNSPACED_PHONE = (
    "电话",
    "電話",
    "手机",
    "手機",
    "携帯",
    "전화",
    "휴대폰",
    "핸드폰",
    "致电",
    "연락처",
    "連絡先",
    "联系",
)
_UNSPACED_OTHER = ("订单", "訂單", "单号", "編號", "编号", "注文", "주문")
_words = re.compile(r"[^\W\d_]+|#").finditer
_sentence_end = re.compile(r"[\n;!?。]|\. [^\W\d_]").search  # not the point of "no. 123"


def _phone(match: re.Match[str]) -> Span | None:
    """Accept the longest run of groups, from the start of the candidate on, that is a number."""
    text, start = match.string, match.start()
    context = _context(text, start)
    if context is None:
        return None
    if "+" in text[start : start + 2]:
        accept = _is_international
    elif context == "other" or _date(text, start) or (not context and _row(text, start)):
        return None
    elif context in {"phone", "near"}:
        accept = _has_length if context == "near" else _has_length_or_groups
    else:
        accept = _has_national_form
        if not _trunk(text, start):
            end = _end_of_form(text, start)
            return None if end is None else (_start_of(text, start, end), end)
    for end in _group_ends(text, start, match.end()):
        if accept(text[start:end]):
            return _start_of(text, start, end), end
    return None


def _end_of_form(text: str, start: int) -> int | None:
    """Return the end of a number whose groups have a national form; None if there is none."""
    found = _north_american(text, start)
    if found and _is_area(found) and not _continues(text, found.end()):
        return None if found["sep"] == " " and _in_row(text, found.end()) else found.end()
    for form in (_russian, _bracketed):
        found = form(text, start)
        if found and not _continues(text, found.end()):
            return found.end()
    return None


def _in_row(text: str, end: int) -> bool:
    """Return whether numbers with blanks follow a North American form: it is a row of values."""
    return bool(_value(text, end)) and not _north_american(text, end + 1)


def _start_of(text: str, start: int, end: int) -> int:
    """Return `start`, behind an opening bracket that is not closed in the number."""
    inside = text[start] == "(" and ")" not in text[start:end]
    return start + 1 if inside else start


def _group_ends(text: str, start: int, end: int) -> list[int]:
    """Return the possible ends of a number in a candidate, longest first."""
    if end < len(text) and text[end].isdigit():  # cut by the limit of the pattern
        while end > start and text[end - 1].isdigit():
            end -= 1
    ends = [
        at for at in range(end, start, -1) if text[at - 1].isdigit() and not _continues(text, at)
    ]
    return ends[:_MAX_GROUPS]


def _continues(text: str, at: int) -> bool:
    """Return whether the token goes on at `at`: a letter, a digit, or punctuation and a digit."""
    rest = text[at : at + 2]
    if not rest:
        return False
    if rest[0].isascii() and (rest[0].isalnum() or rest[0] in "_@"):
        return rest[0] != "x"  # an extension: 555-123-4567x89
    return len(rest) == 2 and rest[0] in "-.,:/" and rest[1].isdigit()


def _context(text: str, start: int) -> str | None:
    """Return what stands in front of a candidate: "near" (a word such as phone, directly),
    "phone" (the same, some words before), "other" (a word such as order), or "" if neither.

    None if the candidate is the continuation of another token, such as $ or a decimal.
    """
    head = text[max(0, start - _CONTEXT_CHARS) : start]
    if head and (head[-1] in "$€£¥#@_-*^" or (head[-1] in ".,:/" and head[-2:-1].isdigit())):
        return "other" if head[-1] == "#" else None
    phone = other = -1
    previous = ""
    for word in _words(head.lower()):
        name = word[0]
        number = name in _NUMBERS and previous in _OWNERS
        if name in _PHONE or number or (name in _OBJECTS and previous in _REACH):
            phone = word.end()
        elif name in _OTHER:
            other = word.end()
        previous = name
    if not head.isascii():
        phone = max(phone, *(head.rfind(word) for word in _UNSPACED_PHONE))
        other = max(other, *(head.rfind(word) for word in _UNSPACED_OTHER))
    nearest = max(phone, other)
    if nearest < 0 or _sentence_end(head, nearest):
        return ""
    if other >= phone:
        return "other"
    return "near" if len(head) - phone <= _NEAR_CHARS else "phone"


def _digits(number: str) -> str:
    return "".join(filter(str.isdigit, number))


def _is_area(found: re.Match[str]) -> bool:
    area = found["area"] or found["plain"]
    return area[0] not in "01" or (area == "123" and found["sep"] == "-")


_arithmetic = re.compile(r"\d - \d|^\(?\d{1,4}\.\d+ |^\(?(?:19|20)\d\d-(?:19|20)?\d\d\b").search


def _has_length(number: str) -> bool:
    """Check a number behind a word such as "phone"."""
    if _arithmetic(number):  # 1.225 - 0.1785, 2015-2022
        return False
    return 7 <= len(_digits(number)) <= 15


def _has_length_or_groups(number: str) -> bool:
    """Check a number some words behind "phone": few digits without separators count something."""
    return _has_length(number) and (len(number) >= 9 or not number.isdigit())


def _has_national_form(number: str) -> bool:
    """Check a number that begins with the national prefix 0 or the exit code 00."""
    digits = len(_digits(number))
    if digits == len(number):
        return False
    if number.lstrip("(").startswith("00"):
        long = (
            13 if number.lstrip("(")[2] in "17" else 10
        )  # all numbers of +1 and +7 have 11 digits
        return bool(_exit_code(number)) and long <= digits <= 17
    return number.count("/") <= 1 and 9 <= digits <= 12


def _is_international(number: str) -> bool:
    """Check the country code and the length of a number with a plus sign."""
    digits = _digits(number)
    if not _international(number) or not 8 <= len(digits) <= 16:
        return False
    return digits[0] != "1" or (len(digits) == 11 and digits[1] in "23456789")


RULES = (Rule("phone", _CANDIDATE, _phone, retry=True, reach=110),)
