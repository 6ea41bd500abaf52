"""The list of all rules, in order of precedence."""

from __future__ import annotations

from typing import Final

from monitor.redaction.rules import contact, credentials, finance, network, phone, provider_keys

RULES: Final = (
    *provider_keys.RULES,
    *credentials.RULES,
    *finance.RULES,
    *contact.RULES,
    *network.RULES,
    *phone.RULES,
)
"""Where matches overlap, the whole is replaced and named by the first of their rules."""
KINDS: Final = tuple(dict.fromkeys(rule.kind for rule in RULES))
"""Names of the kinds, as they stand in replacements and counts."""
