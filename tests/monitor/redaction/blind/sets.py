"""The blind set: for each kind, texts with the place to redact, and harmless texts."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Sequence
from typing import NamedTuple

from tests.monitor.redaction.blind import values
from tests.monitor.redaction.blind.values import ALNUM, Make, chars, digits

HEX = "0123456789abcdef"
CONTEXTS = (
    "{}",
    "Hi, here it is: {}. Thanks!",
    "Can you check {} for me?",
    '{{"note": "{}", "n": 3}}',
    "| name | {} | ok |",
    "Bitte prüfen Sie {} noch heute.",
    "J'ai reçu « {} » hier soir",
    "Por favor, use {} y responda.",
    "line one\n{}\nline three",
    "- first\n- {}\n- last",
    "см. {} (вчера)",
    "请看 {} 谢谢",
    "<p>{}</p>",
    "`{}`",
    "INFO 2024-03-01T10:00:00Z worker-3 got {} after 12 ms",
    "Answer: {}, as discussed.",
)


class Blind(NamedTuple):
    """Makers of values of one kind, with their own texts around the value."""

    positive: Make
    negative: Make
    contexts: Sequence[str] = CONTEXTS


def _one_of(*makes: Make) -> Make:
    return lambda rng: rng.choice(makes)(rng)


def _key(prefix: str, n: int, alphabet: str = ALNUM) -> Make:
    return lambda rng: prefix + chars(rng, n, alphabet)


def _texts(*texts: str) -> Make:
    return lambda rng: rng.choice(texts)


def _password(rng: random.Random) -> str:
    return chars(rng, rng.randint(4, 12)) + rng.choice("!#$*?") + str(rng.randint(1, 99)) + "k"


def _basic(rng: random.Random) -> str:
    return base64.b64encode(f"user:{chars(rng, 9)}".encode()).decode()


def _webhook(rng: random.Random) -> str:
    path = "/".join(("T" + chars(rng, 8), "B" + chars(rng, 8), chars(rng, 24)))
    return f"https://hooks.slack.com/services/{path}"


URLS = ("postgresql://app:{}@db:5432/main", "Clone https://ci:{}@git.example.org/x.git now",
        "redis://:{}@cache.internal/0", "amqp://svc:{}@10.0.0.8//")  # fmt: skip
ASSIGNED = ("password={}", "DB_PASSWORD: {}", 'passwd = "{}"', "my password is {}",
            "'password': '{}'", "Passwort: {}", "contraseña: {}", "https://x.org/login?pwd={}&a=1",
            "export PGPASSWORD={}")  # fmt: skip
HEADERS = ("Authorization: Bearer {}", 'curl -H "Authorization: Bearer {}" https://x.org',
           '{{"Authorization": "Bearer {}"}}', "authorization: token {}", "Bearer {}",
           "headers = {{'Authorization': 'Bearer {}'}}",
           "Proxy-Authorization: Bearer {}")  # fmt: skip
NAMED = ("api_key = {}", "API_KEY={}", 'apiKey: "{}"', "--api-key {}", "my api key is {}",
         "client_secret={}", "X-Api-Key: {}", '"access_token": "{}"', "?access_token={}&x=1",
         "SECRET_KEY = '{}'", "auth_token: {}", "API-Schlüssel: {}", "<apiKey>{}</apiKey>",
         "STRIPE_WEBHOOK_SECRET={}")  # fmt: skip
NOT_ASSIGNED = _texts(
    "Your password must have eight characters.", "password: required", "password = getpass()",
    "password=${DB_PASSWORD}", "Forgot your password?", "type=password name=login",
    "http://example.com:8080/a@b", "postgres://user:password@localhost/db", "password: ********",
    "the passenger is John", "pass: true", "ftp://ftp.example.org/pub/file", "compass=north42east",
    'os.environ["DB_PASSWORD"]', "password reset in 24 hours", "password=<your password>",
)  # fmt: skip
NOT_HEADERS = _texts(
    "Authorization: Bearer <token>", "Authorization is required for 3 endpoints",
    "the bearer of this letter", "Authorization: Bearer YOUR_TOKEN",
    "Bearer authentication (RFC 6750)",
    "Authorization: Bearer ${TOKEN}", "pallbearer number 12", "authorization: none",
    "headers['Authorization'] = f'Bearer {token}'", "Basic authentication is old",
)  # fmt: skip
NOT_NAMED = _texts(
    "api_key = YOUR_API_KEY", "api_key=os.environ['API_KEY']", "max_tokens: 4096", "token: string",
    "The API key is in your account settings", "secret: santa", "api_key=xxxxxxxxxxxxxxxxxxxx",
    "primary key: customer_identifier", "foreign key = orders_customer_id_2", "api_key: null",
    "total tokens = 123456789012", "key: configuration/production/main", "session key: none",
    "access_token=<ACCESS_TOKEN>", "api key rotation every 90 days",
    "token = tokenizer.next_token()",
    "keyboard = QWERTY-layout-2024",
)  # fmt: skip
NOT_KEYS = _texts(
    "sk-folding-cube-animation", "sk-...", "sk-ant-...", "sk-your-key-here", "ghp_...", "AKIA",
    "AKIAXXXXXXXXXXXXXXXX", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "AIza...",
    "xoxb-your-token",
    "eyJ", "eyJhbGciOi...", "a.b.c", "sk_live_...",
    "task-4711-done",
    "risk-assessment-of-project", "github_pat_...", "whsec_...", "AKIArticle about keys",
    "https://hooks.slack.com/docs", "sk-learn-contrib-package-2", "MAIzaXYZ", "gho_st story",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
)  # fmt: skip

SETS = {
    "email": Blind(values.email, values.not_an_email),
    "phone": Blind(values.phone, values.not_a_phone),
    "credit_card": Blind(values.card, values.not_a_card),
    "iban": Blind(values.iban, values.not_an_iban),
    "ip_address": Blind(values.ip, values.not_an_ip),
    "us_ssn": Blind(values.ssn, values.not_a_ssn),
    "aws_key": Blind(
        _one_of(
            _key("AKIA", 16, string.ascii_uppercase + "234567"),
            _key("ASIA", 16, string.ascii_uppercase + "234567"),
        ),
        NOT_KEYS,
    ),
    "github_token": Blind(
        _one_of(
            _key("ghp_", 36),
            _key("gho_", 36),
            _key("ghs_", 36),
            lambda rng: f"github_pat_{chars(rng, 22)}_{chars(rng, 59)}",
        ),
        NOT_KEYS,
    ),
    "openai_key": Blind(
        _one_of(
            _key("sk-", 48),
            _key("sk-proj-", 120, ALNUM + "-_"),
            _key("sk-svcacct-", 60, ALNUM + "-_"),
            lambda rng: f"sk-{chars(rng, 20)}T3BlbkFJ{chars(rng, 20)}",
        ),
        NOT_KEYS,
    ),
    "anthropic_key": Blind(
        _one_of(
            lambda rng: f"sk-ant-api03-{chars(rng, 93, ALNUM + '-_')}AA",
            lambda rng: f"sk-ant-admin01-{chars(rng, 80, ALNUM + '-_')}",
        ),
        NOT_KEYS,
    ),
    "google_key": Blind(
        _one_of(
            _key("AIza", 35, ALNUM + "-_"),
            _key("ya29.", 100, ALNUM + "-_"),
            _key("GOCSPX-", 28, ALNUM + "-_"),
        ),
        NOT_KEYS,
    ),
    "slack_token": Blind(
        _one_of(
            lambda rng: f"xoxb-{digits(rng, 12)}-{digits(rng, 13)}-{chars(rng, 24)}",
            lambda rng: f"xoxp-{digits(rng, 12)}-{digits(rng, 12)}-{chars(rng, 32, HEX)}",
            _webhook,
        ),
        NOT_KEYS,
    ),
    "stripe_key": Blind(
        _one_of(
            _key("sk_live_", 24), _key("sk_test_", 99), _key("rk_live_", 24), _key("whsec_", 32)
        ),
        NOT_KEYS,
    ),
    "jwt": Blind(values.jwt, NOT_KEYS),
    "private_key": Blind(values.pem, values.not_pem),
    "password": Blind(_password, NOT_ASSIGNED, (*URLS, *ASSIGNED)),
    "authorization": Blind(
        _one_of(_key("", 32), _key("", 40, HEX), _key("tok.", 28, ALNUM + "-_")),
        NOT_HEADERS,
        HEADERS,
    ),
    "api_key": Blind(
        _one_of(_key("", 32), _key("", 32, HEX), _key("live_", 24), _key("", 43, ALNUM + "-_")),
        NOT_NAMED,
        NAMED,
    ),
}


class Case(NamedTuple):
    """A text and the value in it that must be redacted, or "" if it is harmless."""

    text: str
    value: str


def blind_set(kind: str, per_side: int, seed: int) -> list[Case]:
    """Return `per_side` texts with data of a kind and as many harmless ones."""
    rng = random.Random(f"{kind} {seed}")
    blind = SETS[kind]
    cases = []
    for _ in range(per_side):
        value = blind.positive(rng)
        cases.append(Case(rng.choice(blind.contexts).format(value), value))
        cases.append(Case(rng.choice(CONTEXTS).format(blind.negative(rng)), ""))
    return cases
