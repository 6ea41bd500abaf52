"""OpenFeature's remote evaluation protocol: POST /ofrep/v1/evaluate/flags/NAME.

A flag is an experiment, and its value is the variant of the unit `targetingKey`. A unit without a
variant gets no value: the client then uses the default of its code.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec

from monitor.experiments.assignment.lookup import UnknownExperimentError
from monitor.telemetry.http.assignments import OPENFEATURE, AssignmentSource

FLAGS: Final = "/ofrep/v1/evaluate/flags/"
MAX_BODY_BYTES: Final = 16 * 1024
"""Size of the body of a request: its context may have more attributes than the key."""


class _Context(msgspec.Struct):
    """The evaluation context; other attributes are ignored."""

    targetingKey: str | None = None  # the name in the protocol


class _Request(msgspec.Struct):
    context: _Context | None = None


_decode = msgspec.json.Decoder(_Request).decode


def evaluate(source: AssignmentSource, name: str, body: bytes) -> tuple[HTTPStatus, dict[str, Any]]:
    """Return status and answer to a request for the flag `name`."""
    try:
        context = _decode(body).context
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return _failure(HTTPStatus.BAD_REQUEST, name, "PARSE_ERROR", f"not a request: {error}")
    unit = None if context is None else context.targetingKey
    if not unit:
        text = "the context needs the id of the unit as targetingKey"
        return _failure(HTTPStatus.BAD_REQUEST, name, "TARGETING_KEY_MISSING", text)
    try:
        [(variant, reason)] = source(name, [unit])
    except UnknownExperimentError as error:
        return _failure(HTTPStatus.NOT_FOUND, name, "FLAG_NOT_FOUND", str(error))
    if reason == "invalid_unit":
        text = "the targetingKey is too long"
        return _failure(HTTPStatus.BAD_REQUEST, name, "INVALID_CONTEXT", text)
    answer: dict[str, Any] = {
        "key": name,
        "reason": OPENFEATURE[reason],
        "variant": variant,
        "metadata": {"assignment": reason},
    }
    return HTTPStatus.OK, answer if variant is None else answer | {"value": variant}


def _failure(
    status: HTTPStatus, name: str, code: str, details: str
) -> tuple[HTTPStatus, dict[str, Any]]:
    return status, {"key": name, "errorCode": code, "errorDetails": details}
