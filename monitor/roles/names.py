"""Names of the roles in `--roles`, consumer groups, logs and metrics."""

from __future__ import annotations

from typing import Final

INGEST: Final = "ingest"
DETECT: Final = "detect"
JUDGE: Final = "judge"
REPLAY: Final = "replay"
EXPERIMENT: Final = "experiment"
NOTIFY: Final = "notify"

ROLES: Final = (INGEST, DETECT, JUDGE, EXPERIMENT, REPLAY, NOTIFY)
