"""Failures of requests: what an error of a provider means for the call and for later ones.

The texts name the status and the type of the error only. The provider's message may repeat the
judged text, and is not used.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from judges.calls import CallFailed, UnscoredReason, Usage

SPEND_LIMITS: Final = frozenset(
    {
        "contract_spend_limit_reached",
        "enforced_spend_limit_reached",
        "linked_organization_spend_limit_reached",
        "insufficient_quota",  # of OpenAI
    }
)
"""Error codes of status 429 that no retry cures."""

_FATAL: Final = frozenset({401, 402, 403, 404})
"""Key, account, or model are wrong: every further call fails alike."""
TRANSIENT: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses after which a retry may succeed."""
_UNCHARGED: Final = frozenset({503, 529})
"""Server errors of requests that were never run. After others the provider may charge."""
_KNOWN_TYPES: Final = frozenset(
    {
        *("invalid_request_error", "authentication_error", "billing_error", "permission_error"),
        *("not_found_error", "request_too_large", "rate_limit_error", "timeout_error"),
        *("api_error", "overloaded_error"),
    }
)


class TransientFailure(CallFailed):
    """A request failed, and a retry may succeed.

    retry_after: seconds that the provider wishes to pass before it, None if it names none.
    """

    def __init__(self, detail: str, usage: Usage, retry_after: float | None = None) -> None:
        super().__init__(UnscoredReason.UNAVAILABLE, detail, usage)
        self.retry_after = retry_after


def lost(detail: str) -> TransientFailure:
    """Return the failure of a request that the provider may have answered and charged."""
    return TransientFailure(detail, Usage(unmetered=1))


def of_status(status: int, body: bytes, retry_after: str | None) -> CallFailed:
    """Return the failure of a response whose status is not 200."""
    kind, code = _error(body)
    detail = f"HTTP {status} {kind}".rstrip()
    usage = Usage(unmetered=int(status >= 500 and status not in _UNCHARGED))
    if status == 413:
        return CallFailed(UnscoredReason.TOO_LONG, detail, usage)
    if status == 429 and code in SPEND_LIMITS:
        return CallFailed(UnscoredReason.UNAVAILABLE, f"{detail}: {code}", usage, fatal=True)
    if status == 429 and code == "ramp_limit_exceeded":
        return CallFailed(UnscoredReason.UNAVAILABLE, f"{detail}: {code}", usage)
    if status in TRANSIENT:
        return TransientFailure(detail, usage, _seconds(retry_after))
    return CallFailed(UnscoredReason.UNAVAILABLE, detail, usage, fatal=status in _FATAL)


def _error(body: bytes) -> tuple[str, str]:
    """Return the type and the code of an error; each is empty if it is absent or unknown."""
    try:
        error: Any = msgspec.json.decode(body)["error"]
        kind = error.get("type")
        code = (error.get("details") or {}).get("error_code") or error.get("code")
    except (msgspec.DecodeError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "", ""
    known = isinstance(kind, str) and kind in _KNOWN_TYPES
    return kind if known else "", code if isinstance(code, str) else ""


def _seconds(text: str | None) -> float | None:
    """Return the seconds of a `retry-after` header, None for a date or anything else."""
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
