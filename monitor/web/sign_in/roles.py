"""Roles of people: each one may do everything that the ones before it may."""

from __future__ import annotations

from enum import IntEnum


class PersonRole(IntEnum):
    """viewer: reads results. annotator: also rates. admin: also changes queues, people and texts.

    none: signed in, and may do nothing.
    """

    NONE = 0
    VIEWER = 1
    ANNOTATOR = 2
    ADMIN = 3

    @property
    def label(self) -> str:
        """The name, as it is stored and shown."""
        return self.name.lower()


def role_of(name: str) -> PersonRole:
    """Return a role by its name. Raises ValueError."""
    try:
        return PersonRole[name.upper()]
    except KeyError:
        raise ValueError(f"there is no role {name[:40]!r}") from None


ROLE_NAMES = tuple(role.label for role in PersonRole)
