"""The list of all rules, in order of precedence."""

from __future__ import annotations

from typing import Final

from monitor.redaction.rules import contact, finance, network, phone, provider_keys
from monitor.redaction.rules.credentials import (
    assigned,
    authorization,
    commands,
    keys,
    stated,
    tables,
)

RULES: Final = (
    *provider_keys.RULES,
    *commands.URLS,
    *authorization.RULES,
    *assigned.RULES,
    *stated.RULES,
    *tables.RULES,
    *commands.RULES,
    *keys.RULES,
    *finance.RULES,
    *contact.RULES,
    *network.RULES,
    *phone.RULES,
)
"""Where matches overlap, the whole is replaced and named by the first of their rules."""
KINDS: Final = tuple(dict.fromkeys(rule.kind for rule in RULES))
"""Names of the kinds, as they stand in replacements and counts."""
