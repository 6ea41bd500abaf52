"""Build what the web role needs from the configuration: database, rubrics, queues, sources."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from judges.rubrics import loading
from judges.rubrics.rubric import Rubric as JudgeRubric
from monitor.config.schema import Config
from monitor.config.sections.process.review import ReviewQueueConfig
from monitor.config.sections.process.sign_in import LEAST_SECRET_CHARS
from monitor.errors import UserError, os_error_reason
from monitor.ingest.files.samples import redactor
from monitor.ingest.sampling.privacy import user_hash

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from monitor.database.store import Store
    from monitor.roles.web_sets import SetFolder
    from monitor.web.review.model import QueueSettings, Rubric

EXTRA: Final = "the web application needs more packages: pip install '.[web]' in a checkout"
_PACKAGES: Final = ("fastapi", "uvicorn", "jinja2", "sqlalchemy", "alembic")
MAX_GUIDELINE_BYTES: Final = 400_000


def check(config: Config) -> None:
    """Raise UserError if the web role could not start: a package, a rubric, the address, the store.

    A store that is not available is no error: the role waits for it.
    """
    check_packages()
    check_secret(config)
    for queue in config.web.queues.values():
        loading.load(queue.rubric)
        guideline(queue)
    check_address(config)
    from monitor.database.errors import StoreUnavailable  # noqa: PLC0415 - imports sqlalchemy

    with suppress(StoreUnavailable):
        open_configured(config).close()


def check_packages() -> None:
    """Raise UserError if a package of the extra is not installed."""
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise UserError(f"{EXTRA} ({package} is missing)")


def check_secret(config: Config) -> None:
    """Raise UserError if the secret of the proxy can be guessed."""
    proxy = config.web.proxy
    if proxy is not None and len(proxy.secret.get_secret_value().strip()) < LEAST_SECRET_CHARS:
        raise UserError(f"web.proxy.secret: must have at least {LEAST_SECRET_CHARS} characters")


def check_address(config: Config) -> None:
    """Raise UserError if the address is not available."""
    from monitor.web.server.server import listen  # noqa: PLC0415 - imports uvicorn

    web = config.web
    try:
        listen(web.host, web.port).close()
    except (OSError, socket.gaierror) as error:
        raise UserError(
            f"web.host {web.host!r}, web.port {web.port}: cannot listen: {os_error_reason(error)};"
            " stop the process that uses the port, or set another one"
        ) from None


def open_configured(config: Config) -> Store:
    """Open the database with both schemas. Raises StoreError, and StoreUnavailable."""
    from monitor.roles.schemas import open_database  # noqa: PLC0415 - imports sqlalchemy

    secret = config.store.password
    return open_database(config.store.url, secret.get_secret_value() if secret else None)


def hash_of_users(config: Config) -> Callable[[str], str]:
    """Return the function that hashes user ids as ingest does."""
    key = config.sampling.user_key
    return partial(user_hash, key=None if key is None else key.get_secret_value())


def evaluation_sets(config: Config) -> SetFolder | None:
    """Return what writes evaluation sets; None if no folder of them is configured."""
    folder = config.web.evaluation_sets
    if folder is None:
        return None
    from monitor.roles.web_sets import SetFolder  # noqa: PLC0415 - imports sqlalchemy

    return SetFolder(folder, redactor(config))


def guideline(queue: ReviewQueueConfig) -> str:
    """Return the instructions of a queue, "" without a file. Raises UserError."""
    if queue.guideline is None:
        return ""
    try:
        with Path(queue.guideline).open("rb") as file:
            content = file.read(MAX_GUIDELINE_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{queue.guideline}: {os_error_reason(error)}") from None
    except UnicodeDecodeError:
        raise UserError(f"{queue.guideline}: is not UTF-8 text") from None
    if len(content) > MAX_GUIDELINE_BYTES:
        raise UserError(f"{queue.guideline}: has more than {MAX_GUIDELINE_BYTES:,} bytes")
    return text.strip()


def configure(connection: Connection, config: Config, at: float) -> None:
    """Store the rubrics and the queues of the configuration. Raises UserError."""
    from monitor.web.review import queues  # noqa: PLC0415 - imports sqlalchemy
    from monitor.web.review.queues import CONFIG, NewQueue  # noqa: PLC0415 - the same

    queues.add_rubrics(connection, all_rubrics(config), at)
    for name, queue in config.web.queues.items():
        rubric = rubric_of(loading.load(queue.rubric))
        new = NewQueue(name, queue.task, rubric, settings_of(queue), CONFIG)
        queues.configure(connection, new, at)
        text = guideline(queue)
        if text:
            queues.set_guideline(connection, name, text, at, person=CONFIG)
    queues.stop_inflow(connection, list(config.web.queues), at)


def all_rubrics(config: Config) -> list[Rubric]:
    """Return the shipped rubrics, those of the judges and those of the queues."""
    queues = (queue.rubric for queue in config.web.queues.values())
    names = dict.fromkeys((*loading.shipped(), *config.judges.rubrics, *queues))
    return [rubric_of(loading.load(name)) for name in names]


def rubric_of(rubric: JudgeRubric) -> Rubric:
    """Return the rubric of a judge as annotators see it."""
    from monitor.web.review.model import Dimension, Rubric  # noqa: PLC0415 - with its package

    return Rubric(
        name=rubric.name,
        version=rubric.version,
        digest=rubric.hash,
        description=rubric.description,
        pass_mark=rubric.pass_mark,
        dimensions=tuple(
            Dimension(each.name, each.question, dict(each.levels), each.weight)
            for each in rubric.dimensions
        ),
    )


def settings_of(queue: ReviewQueueConfig) -> QueueSettings:
    """Return the settings of a queue of the configuration."""
    from monitor.web.review.model import Inflow, QueueSettings  # noqa: PLC0415 - with its package

    return QueueSettings(
        overlap=queue.overlap,
        lease_seconds=60.0 * queue.lease_minutes,
        base=queue.base,
        boost=queue.boost,
        gold_share=queue.gold_share,
        contested_from=queue.contested_from,
        retention_days=queue.retention_days,
        inflow=Inflow(
            enabled=True,
            models=queue.models,
            boosted=queue.boosted,
            settle_seconds=60.0 * queue.settle_minutes,
            limit=queue.limit,
        ),
    )
