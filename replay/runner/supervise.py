"""Run lm-eval in a process of its own and hand over each chunk of scores.

lm-eval does not give memory back, ignores deadlines, and code of tasks runs inside it. So a run
has a process group, which is killed when the run ends, for whatever reason.
"""

from __future__ import annotations

import math
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import msgspec

from replay.results import RunError
from replay.runner.chunk import Chunk, Failed, Finished, Message, Progress, RunEnvironment
from replay.runner.endpoint import check_endpoint
from replay.runner.environment import make_folders, process_environment
from replay.runner.plan import RunPlan, absolute, check_plan
from replay.runner.reasons import MemoryKills, reason_of
from replay.runner.suites import check_code

FD_VARIABLE: Final = "PLUMBLINE_REPLAY_FD"
LOG: Final = "lm-eval.log"
_POLL_S: Final = 0.5
_MAX_LOG_BYTES: Final = 64 << 20

# made at import: msgspec may crash if two threads use a type for the first time at once
_decode: Final = msgspec.json.Decoder(Message).decode


class Order(msgspec.Struct, frozen=True):
    """The line that the process reads first. done: positions of finished items by task."""

    plan: RunPlan
    done: dict[str, list[int]]


def run(
    plan: RunPlan,
    done: Mapping[str, Set[int]],
    on_chunk: Callable[[Chunk], bool],
    keep_going: Callable[[], bool] = lambda: True,
) -> RunEnvironment:
    """Evaluate the items of the plan that are not done. Return the environment of the run.

    on_chunk: called with each chunk of scores, which should be durable when it returns; False
    stops the run early. keep_going: called about twice a second; False stops the run as well.
    Raises RunError with the reason why the run cannot be completed, UserError if the plan is
    wrong. Chunks handed over before an error are valid: pass their items as `done` to resume.
    """
    check_plan(plan)
    check_code(plan.tasks, plan.allow_code, plan.sandbox)
    plan = absolute(plan)
    started = time.monotonic()
    try:
        make_folders(plan)
    except OSError as error:
        raise _os_error(error) from error
    if plan.model.is_endpoint:
        check_endpoint(plan.model)
    with _Process(plan, done) as process:
        return _Watch(plan, process, started).follow(on_chunk, keep_going)


class _Process:
    """The process, its pipe and its standard input, through which it sees this one die."""

    def __init__(self, plan: RunPlan, done: Mapping[str, Set[int]]) -> None:
        order = Order(plan, {task: sorted(ids) for task, ids in done.items()})
        self._order = msgspec.json.encode(order) + b"\n"
        self._plan = plan
        self.log = Path(plan.log_dir) / LOG

    def __enter__(self) -> _Process:
        self.kills = MemoryKills()
        self.pipe, write = os.pipe()
        command = [*self._plan.sandbox, sys.executable, "-P", "-m", "replay.runner.process"]
        environment = process_environment(self._plan) | {FD_VARIABLE: str(write)}
        try:
            with self.log.open("wb") as log:
                self.child = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=self._plan.log_dir,
                    pass_fds=(write,),
                    start_new_session=True,
                )
        except OSError as error:
            os.close(self.pipe)
            raise _os_error(error) from error
        finally:
            os.close(write)
        self._send()
        return self

    def _send(self) -> None:
        """Write the order. The input stays open as long as this process lives."""
        with suppress(BrokenPipeError):  # it died at once: its exit status says why
            self._stdin.write(self._order)
            self._stdin.flush()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self.child.stdin is not None
        return self.child.stdin

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        os.close(self.pipe)
        with suppress(BrokenPipeError):
            self._stdin.close()

    def end(self) -> RunError:
        """Return the error for a process that ended without a message."""
        code = self.child.wait()
        if self.kills.happened():
            return RunError("out_of_memory", "the system killed the process: memory ran out")
        if code < 0:
            return RunError("killed", f"the process was killed by signal {-code}")
        return RunError("failed", f"the process ended with status {code}; its log: {self.log}")


class _Watch:
    """Reads the messages of the process until it is finished, silent for too long, or stopped."""

    def __init__(self, plan: RunPlan, process: _Process, started: float) -> None:
        self._plan = plan
        self._process = process
        self._deadline = started + plan.deadline_s
        self._silence = math.inf  # until the model is loaded, which may take long
        self._rest = bytearray()

    def follow(
        self, on_chunk: Callable[[Chunk], bool], keep_going: Callable[[], bool]
    ) -> RunEnvironment:
        """Hand over chunks until the end. Return the environment."""
        environment: RunEnvironment | None = None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.pipe, selectors.EVENT_READ)
            while True:
                lines = self._lines(selector)
                if lines is None:
                    raise self._process.end()
                for line in lines:
                    message = _decode(line)
                    if isinstance(message, Failed):
                        raise RunError(message.reason, message.detail)
                    if isinstance(message, RunEnvironment):
                        environment = message
                    finished = isinstance(message, Finished) or (
                        isinstance(message, Chunk) and not on_chunk(message)
                    )
                    if finished and environment is not None:
                        return environment
                    self._heard(message)
                if not keep_going():
                    return environment or _unknown(self._plan)
                self._check_time()

    def _heard(self, message: Message) -> None:
        """Postpone the limit of silence: each message follows an answer of the model."""
        if isinstance(message, Progress | Chunk | RunEnvironment):
            self._silence = time.monotonic() + self._plan.silence_s

    def _lines(self, selector: selectors.BaseSelector) -> list[bytes] | None:
        """Return the whole lines that have arrived, None if the process has closed the pipe."""
        if not selector.select(_POLL_S):
            return []
        data = os.read(self._process.pipe, 1 << 20)
        if not data:
            return None
        self._rest += data
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        return [line for line in lines if line]

    def _check_time(self) -> None:
        """Raise RunError at the deadline, or if the process is silent or writes without end."""
        now = time.monotonic()
        if now > self._deadline:
            raise RunError("deadline", f"the run took longer than {self._plan.deadline_s:.0f} s")
        if now > self._silence:
            detail = f"the model has not answered for {self._plan.silence_s:g} s"
            raise RunError("deadline", detail)
        if self._process.log.stat().st_size > _MAX_LOG_BYTES:
            raise RunError("failed", f"the process writes without end: {self._process.log}")


def _unknown(plan: RunPlan) -> RunEnvironment:
    """Environment of a run that was stopped before its process had named one."""
    return RunEnvironment(versions={}, hardware={}, model=plan.model.name, kind=plan.model.kind)


def _os_error(error: OSError) -> RunError:
    """Return the error of a run for an error of the operating system."""
    return RunError(reason_of(error), f"{error.strerror or error}: {error.filename or ''}")
