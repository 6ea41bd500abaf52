"""Build what the replay role needs from the configuration: store, folder, scorers."""

from __future__ import annotations

import importlib.util
import os
import socket
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitor.config.schema import Config
from monitor.errors import UserError
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.counters.replay import ReplayMetrics

if TYPE_CHECKING:
    from monitor.roles.replay_lease import Workplace
    from replay.store import Store

EXTRA: Final = "replays need more packages: pip install '.[replay]' in a checkout"
_PACKAGES: Final = ("lm_eval", "sqlalchemy", "alembic", "rensa")


def check(config: Config) -> None:
    """Raise UserError if the replay role could not start: without a package, a variable, a judge.

    A store that is not available is no error: the role waits for it.
    """
    check_packages()
    from replay.store import StoreUnavailable  # noqa: PLC0415 - imports sqlalchemy

    with suppress(StoreUnavailable):
        open_configured(config).close()
    from monitor.roles.replay_judge import configured_judge  # noqa: PLC0415 - with the role only

    configured_judge(config)
    replay = config.replay
    models = [replay.model, *replay.models.values(), replay.baseline_model]
    for model in models:
        name = None if model is None else model.api_key_env
        if name is not None and not os.environ.get(name):
            raise UserError(f"replay: environment variable {name} (api_key_env) is not set")


def check_packages() -> None:
    """Raise UserError if a package of the extra is not installed."""
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise UserError(f"{EXTRA} ({package} is missing)")


def open_configured(config: Config) -> Store:
    """Open the result store. Raises StoreError, a UserError, and StoreUnavailable."""
    from replay.store import open_store  # noqa: PLC0415 - imports sqlalchemy

    secret = config.store.password
    return open_store(config.store.url, secret.get_secret_value() if secret else None)


def work_directory(config: Config) -> Path:
    """Return the folder of running replays. Raises UserError if it cannot be made."""
    chosen = config.replay.directory
    folder = chosen or Path(tempfile.gettempdir()) / f"plumbline-replay-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if chosen is None and folder.stat().st_uid != os.getuid():
            raise UserError(f"{folder}: belongs to another user; set replay.directory")
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; set replay.directory") from None
    return folder.absolute()


def workplace(
    config: Config, store: Store, metrics: Metrics, stop: Callable[[float], bool]
) -> Workplace:
    """Return what the runs of this process share. stop: as of a role."""
    from monitor.roles.replay_judge import configured_judge  # noqa: PLC0415 - with the role only
    from monitor.roles.replay_lease import Workplace  # noqa: PLC0415 - imports sqlalchemy
    from monitor.roles.replay_samples import SampleReader  # noqa: PLC0415 - imports rensa late
    from monitor.roles.replay_scorers import scorers  # noqa: PLC0415 - with the role only

    counts = metrics.replay or ReplayMetrics()
    return Workplace(
        store=store,
        config=config,
        metrics=metrics,
        counts=counts,
        directory=work_directory(config),
        host=socket.gethostname(),
        stop=stop,
        reader=lambda beat: SampleReader(config.kafka, beat),
        scorers=scorers(),
        judge=configured_judge(config),
    )


def worker_name(number: int) -> str:
    """Return the name of a worker, which no other worker has."""
    return f"{socket.gethostname()}-{os.getpid()}-{number}-{uuid.uuid4().hex[:6]}"
