"""Names of the roles in `--roles`, consumer groups, logs and metrics."""

from __future__ import annotations

from typing import Final

INGEST: Final = "ingest"
DETECT: Final = "detect"
JUDGE: Final = "judge"
REPLAY: Final = "replay"
EXPERIMENT: Final = "experiment"
JOIN: Final = "join"
NOTIFY: Final = "notify"
WEB: Final = "web"

ROLES: Final = (INGEST, DETECT, JUDGE, EXPERIMENT, JOIN, REPLAY, NOTIFY, WEB)
