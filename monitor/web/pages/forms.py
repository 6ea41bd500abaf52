"""Fields of a plain HTML form, without a package for uploads: pages send none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final
from urllib.parse import parse_qs

from fastapi import Depends, Request

from monitor.web.review.model import ReviewError

FORM_TYPE: Final = "application/x-www-form-urlencoded"
MAX_FIELDS: Final = 1_000


Fields = Mapping[str, Sequence[str]]
"""Values by the name of the field."""


async def read_form(request: Request) -> Fields:
    """Return the values of each field. Raises ReviewError if the body is no form.

    The guard has checked where the request comes from, and limits the body.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM_TYPE:
        raise ReviewError("this address expects a form")
    body = await request.body()
    try:
        return parse_qs(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="replace",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise ReviewError("the form cannot be read") from None


Form = Annotated[Fields, Depends(read_form)]


def first(form: Fields, name: str, default: str = "") -> str:
    """Return the first value of a field."""
    return next(iter(form.get(name, ())), default)
