"""The ledger of commands: no processes and no crash pass a cap, and faults are errors."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from judges.budget import ledger_file
from judges.budget.caps import Caps, Purpose
from judges.budget.ledger_file import FileAccount, FileDraw, LedgerFile
from judges.budget.periods import day_of, month_of
from monitor.errors import UserError

ROOT = Path(__file__).parents[3]
START = datetime(2026, 10, 30, 20, tzinfo=UTC).timestamp()
PURPOSES = (Purpose.COMMAND_LINE, Purpose.BATCH)
INDEX = st.integers(0, 10**6)


def caps(day: int, month: int | None = None) -> Caps:
    """Return the same caps for all purposes."""
    months = None if month is None else dict.fromkeys(Purpose, month)
    return Caps(dict.fromkeys(Purpose, day), months)


@dataclass
class _Request:
    """A request in progress. began: when its block was reserved."""

    account: FileAccount
    purpose: Purpose
    draw: FileDraw
    began: float


class CommandsMachine(RuleBasedStateMachine):
    """Three commands at a time that share a file, end, or are killed."""

    @initialize(day=st.integers(0, 600), month=st.integers(0, 1500))
    def begin(self, day: int, month: int) -> None:
        """Begin without a file."""
        self.caps = caps(day, month)
        self.now = START
        self.folder = Path(tempfile.mkdtemp())
        self.accounts = [self.command(PURPOSES[i % 2]) for i in range(3)]
        self.requests: list[_Request] = []
        self.by_day: Counter[tuple[int, Purpose]] = Counter()
        self.by_month: Counter[tuple[int, Purpose]] = Counter()

    def command(self, purpose: Purpose) -> tuple[FileAccount, Purpose]:
        """Return the account of a command that begins now."""
        ledger = LedgerFile(self.folder / "ledger", self.caps, lambda: self.now)
        return FileAccount(ledger, purpose), purpose

    def spend(self, request: _Request, amount: int) -> None:
        """Add true spending at the time at which a request began."""
        self.by_day[day_of(request.began), request.purpose] += amount
        self.by_month[month_of(request.began), request.purpose] += amount

    @rule(at=INDEX, worst=st.integers(0, 300))
    def draw(self, at: int, worst: int) -> None:
        """A command sends a request; until it ends it may cost its worst case."""
        account, purpose = self.accounts[at % 3]
        draw = account.draw(worst)
        if draw is not None:
            self.requests.append(_Request(account, purpose, draw, self.now))
            self.spend(self.requests[-1], worst)

    @precondition(lambda self: self.requests)
    @rule(at=INDEX, share=st.floats(0, 1))
    def settle(self, at: int, share: float) -> None:
        """A request ends, at any cost up to its worst case."""
        request = self.requests.pop(at % len(self.requests))
        cost = int(request.draw.amount * share)
        request.account.settle(request.draw, cost)
        self.spend(request, cost - request.draw.amount)

    @rule(at=INDEX)
    def kill(self, at: int) -> None:
        """A command is killed: its requests cost their worst case, and another one begins."""
        account, purpose = self.accounts[at % 3]
        self.requests = [each for each in self.requests if each.account is not account]
        self.accounts[at % 3] = self.command(purpose)

    @rule(at=INDEX)
    def end(self, at: int) -> None:
        """A command ends in order, and another one begins."""
        account, purpose = self.accounts[at % 3]
        for request in [each for each in self.requests if each.account is account]:
            account.settle(request.draw, request.draw.amount)
            self.requests.remove(request)
        account.close()
        self.accounts[at % 3] = self.command(purpose)

    @rule(hours=st.sampled_from([0.01, 1, 5, 12, 24, 24 * 10]))
    def wait(self, hours: float) -> None:
        """Time passes."""
        self.now += hours * 3600

    @invariant()
    def no_cap_is_passed(self) -> None:
        """The true spending of every day and month is within its cap."""
        if not hasattr(self, "caps"):
            return
        for (_, purpose), spent in self.by_day.items():
            assert spent <= self.caps.day[purpose]
        assert self.caps.month is not None
        for (_, purpose), spent in self.by_month.items():
            assert spent <= self.caps.month[purpose]

    def teardown(self) -> None:
        """An orderly end leaves nothing reserved but what killed commands held."""
        if not hasattr(self, "caps"):
            return
        for request in self.requests:
            request.account.settle(request.draw, request.draw.amount)
        for account, _ in self.accounts:
            account.close()
        ledger = LedgerFile(self.folder / "ledger", self.caps, lambda: self.now)
        for purpose in PURPOSES:
            spent = self.by_day[day_of(self.now), purpose]
            assert ledger.remaining(purpose) + spent <= self.caps.day[purpose]
        shutil.rmtree(self.folder)


TestCommands = CommandsMachine.TestCase
TestCommands.settings = settings(
    max_examples=30, stateful_step_count=40, deadline=None, derandomize=True
)


def test_what_a_command_gives_back_is_there_for_the_next_one(tmp_path: Path) -> None:
    """Without a kill exactly the costs are spent; a killed command loses its block only."""
    ledger = LedgerFile(tmp_path / "ledger", caps(9600), lambda: START)
    for number in range(5):
        account = FileAccount(ledger, Purpose.BATCH)
        assert account.cap == 9600 - 10 * number
        draw = account.draw(1000)
        assert draw is not None
        account.settle(draw, 10)
        account.close()
    killed = FileAccount(ledger, Purpose.BATCH)
    assert killed.draw(1000) is not None
    assert FileAccount(ledger, Purpose.BATCH).cap == 9600 - 50 - 1000 - 9600 // 96
    assert FileAccount(ledger, Purpose.COMMAND_LINE).cap == 9600


def test_the_month_binds_before_the_day(tmp_path: Path) -> None:
    """With 10 a day and 15 a month, the second day has 5, and the next month 10."""
    now = [datetime(2026, 11, 28, tzinfo=UTC).timestamp()]
    found = []
    for _ in range(4):
        account = FileAccount(
            LedgerFile(tmp_path / "ledger", caps(10, 15), lambda: now[0]), Purpose.BATCH
        )
        found.append(account.cap)
        while (draw := account.draw(1)) is not None:
            account.settle(draw, 1)
        account.close()
        now[0] += 86_400
    assert found == [10, 5, 0, 10]


def test_a_name_is_settled_once_and_on_its_own_day(tmp_path: Path) -> None:
    """A batch is settled days later; a name that holds nothing gives nothing back."""
    now = [START]
    ledger = LedgerFile(tmp_path / "ledger", caps(100, 150), lambda: now[0])
    assert ledger.hold("batch", Purpose.BATCH, 90, 90) == 90
    assert ledger.hold("other", Purpose.BATCH, 20, 30) == 0
    assert ledger.hold("other", Purpose.BATCH, 5, 30) == 10
    assert ledger.hold("other", Purpose.BATCH, 11, 30) == 10
    now[0] += 86_400
    assert ledger.remaining(Purpose.BATCH) == 50
    for _ in range(2):
        ledger.settle("batch", 30)
        ledger.settle("unknown", 0)
        assert ledger.remaining(Purpose.BATCH) == 100
    now[0] -= 86_400
    assert ledger.remaining(Purpose.BATCH) == 60


def test_a_command_waits_for_the_open_requests_of_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two share a cap that covers three worst cases: all their requests are answered."""
    monkeypatch.setattr(ledger_file, "POLL_SECONDS", 0.02)
    total = 3 * 300 + 2 * 20 * 10
    accounts = [
        FileAccount(LedgerFile(tmp_path / "ledger", caps(total)), Purpose.BATCH) for _ in range(2)
    ]

    async def request(account: FileAccount) -> bool:
        while (draw := account.draw(300)) is None:
            settled = account.next_settlement()
            if settled is None:
                return False
            await settled.wait()
        await asyncio.sleep(0.01)
        account.settle(draw, 10)
        return True

    async def run() -> list[bool]:
        return await asyncio.gather(*(request(each) for each in accounts * 20))

    assert all(asyncio.run(asyncio.wait_for(run(), 60)))
    assert [each.spent for each in accounts] == [200, 200]
    killed = FileAccount(LedgerFile(tmp_path / "ledger", caps(total)), Purpose.BATCH)
    assert killed.draw(800) is not None
    assert accounts[0].draw(300) is None
    asyncio.run(asyncio.wait_for(_poll(accounts[0]), 60))
    del killed  # the system closes the files of a process that ends
    gc.collect()
    assert accounts[0].draw(300) is None
    assert accounts[0].next_settlement() is None, "nothing is open"


async def _poll(account: FileAccount) -> None:
    """Wait once for another command."""
    settled = account.next_settlement()
    assert settled is not None
    await settled.wait()


PROCESS = """
import os, random, sys
from pathlib import Path
from judges.budget.caps import Caps, Purpose
from judges.budget.ledger_file import FileAccount, LedgerFile

path, seed = Path(sys.argv[1]), int(sys.argv[2])
generator = random.Random(seed)
account = FileAccount(LedgerFile(path, Caps(dict.fromkeys(Purpose, 20000))), Purpose.BATCH)
while (draw := account.draw(300)) is not None:
    cost = generator.randint(0, 300)
    print(300, flush=True)  # sent: it may cost its worst case
    if seed == 0 and account.spent > 2000:
        os._exit(9)
    account.settle(draw, cost)
    print(cost - 300, flush=True)
account.close()
"""


def test_real_processes_share_a_cap(tmp_path: Path) -> None:
    """Of three at the same time one is killed; together they use almost all, and no more."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path / "ledger"), str(seed)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(3)
    ]
    spent = 0
    for process in processes:
        text, _ = process.communicate(timeout=120)
        spent += sum(map(int, text.split()))
    assert [each.returncode for each in processes] == [9, 0, 0]
    assert 17000 < spent <= 20000


@pytest.mark.parametrize("fault", ["cut", "changed", "empty", "text"])
def test_a_damaged_file_is_an_error(tmp_path: Path, fault: str) -> None:
    """Spending that is not known is not regarded as none."""
    path = tmp_path / "ledger"
    account = FileAccount(LedgerFile(path, caps(1000)), Purpose.BATCH)
    assert account.draw(500) is not None
    content = path.read_bytes()
    damaged = {
        "cut": content[:-1],
        "changed": content.replace((510).to_bytes(2, "big"), (10).to_bytes(2, "big")),
        "empty": b"",
        "text": b"something else",
    }[fault]
    assert damaged != content
    path.write_bytes(damaged)
    with pytest.raises(UserError, match="is not a ledger of the budget"):
        account.draw(400)
    with pytest.raises(UserError, match="remove it to begin with the whole budget"):
        FileAccount(LedgerFile(path, caps(1000)), Purpose.BATCH)
    assert path.read_bytes() == damaged


def test_a_full_disk_leaves_the_ledger_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request is not drawn; what was reserved before stays, until there is space again."""
    path = tmp_path / "folder" / "ledger"
    account = FileAccount(LedgerFile(path, caps(1000)), Purpose.BATCH)
    draw = account.draw(500)
    assert draw is not None

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match="no space left on device"):
            account.draw(400)
        account.settle(draw, 10)
    assert account.spent == 10
    assert account.next_settlement() is None
    assert FileAccount(LedgerFile(path, caps(1000)), Purpose.BATCH).cap == 490
    account.close()
    assert FileAccount(LedgerFile(path, caps(1000)), Purpose.BATCH).cap == 990


def test_without_a_folder_that_can_be_written_nothing_is_drawn(tmp_path: Path) -> None:
    """The error names the setting. A model that costs nothing needs no file."""
    (tmp_path / "file").write_text("")
    account = FileAccount(LedgerFile(tmp_path / "missing" / "ledger", caps(1000)), Purpose.BATCH)
    assert account.draw(0) is not None
    assert not (tmp_path / "missing").exists()
    with pytest.raises(UserError, match="XDG_STATE_HOME"):
        LedgerFile(tmp_path / "file" / "ledger", caps(1000)).hold("a", Purpose.BATCH, 1, 1)
