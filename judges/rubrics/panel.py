"""Which samples a panel judges in addition, and by which models."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Panel:
    """Further judgements of a share of the samples.

    models: of the further judges; the pinned judge may be among them, which repeats it.
    share: of the samples, 0 to 1.
    """

    models: tuple[str, ...] = ()
    share: float = 0.0


NO_PANEL = Panel()


def drawn(request_id: str, share: float, purpose: str = "panel") -> bool:
    """Whether a request belongs to a share of all requests, by a hash of its id and the purpose.

    The hash is independent of the one by which samples were drawn, and of other purposes.
    """
    digest = hashlib.blake2b(request_id.encode(), digest_size=8, person=purpose.encode()[:16])
    return int.from_bytes(digest.digest()) < share * 2**64
