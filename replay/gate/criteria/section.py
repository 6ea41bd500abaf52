"""The base class of the sections of criteria, and the types of their fields."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

ERROR_TYPE = "gate"


class Section(BaseModel):
    """An immutable mapping with a fixed set of keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, validate_default=True
    )


def invalid(message: str, *key: str) -> PydanticCustomError:
    """Return the error of a failed check. key: below the section, of what is to be changed."""
    return PydanticCustomError(ERROR_TYPE, "{message}", {"message": message, "key": key})


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,79}", name):
        raise invalid("must be at most 80 letters, digits, spaces, '.', '_' and '-'")
    return name


def _check_text(text: str) -> str:
    if not text.strip():
        raise invalid("must not be empty")
    return text


def _check_path(path: Path) -> Path:
    if path == Path():
        raise invalid("must name a file or a directory")
    return path


def _check_unique(names: Sequence[str]) -> Sequence[str]:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise invalid(f"{', '.join(map(repr, repeated))} is listed twice")
    return names


def _check_url(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", url, re.ASCII):
        raise invalid(
            "must be an address such as https://host/v1, without a user, a password or a query"
        )
    return url


Name = Annotated[str, AfterValidator(_check_name)]
Text = Annotated[str, AfterValidator(_check_text)]
Url = Annotated[str, AfterValidator(_check_url)]
FilePath = Annotated[Path, Field(strict=False), AfterValidator(_check_path)]
Names = Annotated[tuple[Text, ...], Field(strict=False), AfterValidator(_check_unique)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
