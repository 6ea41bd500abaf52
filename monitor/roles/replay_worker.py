"""Claim runs and do them, one at a time, in a thread or in the command."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from monitor.errors import UserError
from monitor.events.replay import ReplayEvent, encode_replay
from monitor.events.wording.replay import replay_sentence
from monitor.roles.replay_actions import add_actions
from monitor.roles.replay_events import Result, replay_event, scores_event
from monitor.roles.replay_lease import LEASE_SECONDS, Hold, StoppingError, Workplace
from monitor.roles.replay_plan import ReplayPlan
from monitor.roles.replay_run import ReplayRun
from replay.results import ErrorReason, RunError
from replay.store import (
    LeaseLost,
    StoreError,
    StoreFull,
    StoreUnavailable,
    baselines,
    outbox,
    queue,
)
from replay.store.costs import gpu
from replay.store.queue import Claim, Outcome, Run

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = structlog.get_logger(__name__)

POLL_SECONDS: Final = 1.0
"""Pause before the queue is read again when it was empty."""
ERROR_SECONDS: Final = 5.0
MAX_ATTEMPTS: Final = 5
"""Claims of a run. Each stop of a worker and each retry takes one."""
TRANSIENT: Final[frozenset[ErrorReason]] = frozenset(
    {"endpoint_unavailable", "rate_limited", "killed", "out_of_memory", "judge_unavailable"}
)
"""Reasons that a later attempt may not have."""
TRIES: Final = 3
"""Claims after which such a reason is final."""
RETRY_SECONDS: Final = 60.0
OLD_SECONDS: Final = 7 * 86_400.0
"""Age at which the logs of runs that failed are removed."""


class ReplayWorker(threading.Thread):
    """Does runs until the process stops. name: unique among all workers of the store."""

    def __init__(self, place: Workplace, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.place = place

    def run(self) -> None:
        """Claim runs and do them. An error of the store, or a defect, ends no thread."""
        pause = 0.0
        while not self.place.stop(pause):
            try:
                pause = 0.0 if self.work_once() else POLL_SECONDS
            except StoreError as error:
                pause = ERROR_SECONDS
                with self.place.metrics.lock:
                    self.place.counts.store_errors += 1
                log.warning("queue not read, retrying", error=str(error))
            except Exception:
                pause = ERROR_SECONDS
                log.exception("worker failed, retrying")

    def work_once(self) -> bool:
        """Claim a run and do it. Returns False if there was none."""
        with self.place.store.write() as connection:
            now = self.place.clock()
            finish_expired(connection, self.place, now)
            claim = queue.claim(
                connection,
                self.name,
                now,
                LEASE_SECONDS,
                gpu=self._may_use_gpus(connection, now),
                max_attempts=MAX_ATTEMPTS,
            )
        if claim is None:
            return False
        do_run(self.place, claim)
        return True

    def _may_use_gpus(self, connection: Connection, now: float) -> bool:
        """Return whether runs with a GPU may start: there are some, and time of the day is left."""
        cap = self.place.gpu_seconds_per_day
        if self.place.config.replay.budget.gpus_per_host == 0:
            return False
        return cap is None or gpu.used(connection, now) < cap


def do_run(place: Workplace, claim: Claim) -> ReplayEvent | None:
    """Do a claimed run to its end; return its event.

    None if the run goes on elsewhere: it was given back, or another worker has it.
    """
    plan = msgspec.convert(claim.run.plan, ReplayPlan)
    hold = Hold(place, claim, plan.gpus)
    work = ReplayRun(place, hold)
    log.info("run started", run=claim.run.id, model=claim.run.model, attempt=claim.run.attempts)
    with place.metrics.lock:
        place.counts.start(claim.run.model)
    try:
        result = _result(work)
        if result.reason in TRANSIENT and claim.run.attempts < TRIES:
            _give_back(hold, RETRY_SECONDS, _outcome(result))
            return None
        event = hold.write(lambda c: _finish(c, hold, result), full=True)
    except StoppingError:
        _stop(hold)
        return None
    except LeaseLost as error:
        log.warning("run was taken over", run=claim.run.id, error=str(error))
        return None
    finally:
        with place.metrics.lock:
            place.counts.end_progress(claim.run.model)
    _report(place, event, result)
    _clean(work.folder, failed=result.verdict == "error")
    return event


def _result(work: ReplayRun) -> Result:
    """Return how a run ended, whatever happened in it."""
    try:
        return work.execute()
    except RunError as error:
        reason, detail = error.reason, error.detail
    except (StoreUnavailable, StoreFull, StoppingError, LeaseLost):
        raise
    except UserError as error:
        reason, detail = "failed", str(error)
    except Exception as error:
        log.exception("run failed", run=work.run.id)
        reason, detail = "failed", f"{type(error).__name__}: {error}"
    return Result("error", reason, detail[:1_000], environment=work.environment)


def _outcome(result: Result) -> Outcome:
    decision = result.decision
    environment = result.environment
    return Outcome(
        verdict=result.verdict,
        reason=result.reason or "",
        detail=result.detail,
        environment={} if environment is None else msgspec.to_builtins(environment),
        decision=None if decision is None else msgspec.to_builtins(decision),
    )


def _finish(connection: Connection, hold: Hold, result: Result) -> ReplayEvent:
    """Finish a run: verdict, baseline, event and actions, in one transaction."""
    place, now = hold.place, hold.place.clock()
    hold.release_gpus(connection)
    if not queue.heartbeat(connection, hold.lease, now, LEASE_SECONDS):
        result = Result("cancelled", environment=result.environment)  # since the last heartbeat
    run = queue.finish(connection, hold.lease, _outcome(result), now)
    if run.trigger == "baseline" and run.verdict == "inconclusive":
        baselines.accept(connection, run.id, now)
        return scores_event(run, result.absolute)
    event = replay_event(run, result)
    add_event(connection, place, event, now)
    return event


def add_event(connection: Connection, place: Workplace, event: ReplayEvent, at: float) -> None:
    """Write an event and what follows from it to the outbox."""
    outbox.add(connection, event.id, event.model, encode_replay(event), at)
    add_actions(connection, place.config.replay.actions, event, at)


def finish_expired(connection: Connection, place: Workplace, at: float) -> tuple[Run, ...]:
    """Finish the runs that no worker will claim again, with their events."""
    ended = queue.expire(connection, at, MAX_ATTEMPTS)
    for run in ended:
        add_event(connection, place, replay_event(run), at)
    return ended


def _give_back(hold: Hold, delay: float, outcome: Outcome) -> None:
    def release(connection: Connection) -> None:
        hold.release_gpus(connection)
        queue.release(connection, hold.lease, hold.place.clock(), delay, outcome)

    hold.write(release, full=True)
    log.warning("run given back", run=hold.run.id, reason=outcome.reason, detail=outcome.detail)


def _stop(hold: Hold) -> None:
    """Give a run back at a stop, so that another worker need not wait for the lease to expire."""
    outcome = Outcome(verdict="error", reason="killed", detail="the worker was stopped")
    try:
        with hold.place.store.write() as connection:
            hold.release_gpus(connection)
            queue.release(connection, hold.lease, hold.place.clock(), 0.0, outcome)
    except (StoreError, LeaseLost) as error:
        log.warning("run not given back, its lease will expire", error=str(error))


def _report(place: Workplace, event: ReplayEvent, result: Result) -> None:
    """Log how a run ended. The role counts it when it reads its event; a baseline has none."""
    if event.trigger == "baseline" and event.verdict != "error":
        with place.metrics.lock:
            place.counts.keep_scores(event)
        log.info("baseline ended", run=event.run, model=event.model)
    else:
        text, detail = replay_sentence(event), result.detail
        log.info("run ended", run=event.run, verdict=event.verdict, text=text, detail=detail)


def _clean(folder: Path, *, failed: bool) -> None:
    """Remove the files of a run; of one that failed, those of older runs only."""
    if not failed:
        shutil.rmtree(folder, ignore_errors=True)
        return
    limit = time.time() - OLD_SECONDS
    for other in folder.parent.glob("*"):
        try:
            if other.stat().st_mtime < limit:
                shutil.rmtree(other, ignore_errors=True)
        except OSError:
            continue
