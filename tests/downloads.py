"""Download the programs that tests need, while tests run that need none.

    python -m tests.downloads

A run of all tests starts this process. On a machine with a filled cache it ends at once; on a fresh
one, tests would wait for minutes in the middle of the run. A failure is not reported here: the
test that needs the program tries again, and says why it is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from tests.debian import ProgramUnavailable, browser, program, unpacked_server
from tests.integration.kafka_jars import KafkaUnavailable, kafka_classpath

DOWNLOADS: tuple[Callable[[], object], ...] = (
    lambda: program("promtool"),
    kafka_classpath,
    lambda: program("alertmanager"),
    unpacked_server,
    browser,
    lambda: program("nginx"),
)
"""In the order in which a run needs them."""


def download() -> None:
    """Fill the cache."""
    for each in DOWNLOADS:
        with suppress(KafkaUnavailable, ProgramUnavailable):
            each()


if __name__ == "__main__":
    download()
