"""The base class of all sections, and the error that their checks raise."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """An immutable mapping with a fixed set of keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, validate_default=True
    )


def invalid(message: str, *keys: str | tuple[str | int, ...]) -> PydanticCustomError:
    """Return the error of a failed check.

    keys: for a check of several keys, their dotted names, or tuples if a part contains a dot. The
    problem is reported at the first of them that the user set.
    """
    return PydanticCustomError("plumbline", "{message}", {"message": message, "keys": keys})
