"""The contestants by name; a new one needs a file in this package and an entry here.

A module is imported only in the environment that it needs: PROJECT_ENVIRONMENT is the project's
own, PEER_ENVIRONMENT the one that `make peers` creates from constraints/peers.txt.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from benchmarks.detectors.protocol import Contestant

PROJECT_ENVIRONMENT, PEER_ENVIRONMENT = "ours", "theirs"


@dataclass(frozen=True, slots=True)
class ContestantInfo:
    """Location and role of a contestant.

    title: displayed name. role: "ours", "peer", or "baseline" (not compared). cost: approximate
    microseconds per record and feature, for planning only.
    """

    title: str
    module: str
    factory: str
    role: str
    environment: str
    cost: float

    def load(self) -> Contestant:
        """Import the module and create the contestant."""
        module = import_module(f"benchmarks.detectors.contestants.{self.module}")
        contestant = getattr(module, self.factory)()
        assert isinstance(contestant, Contestant)
        return contestant


CONTESTANTS = {
    "plumbline": ContestantInfo(
        "Plumbline", "plumbline", "AllDetectors", "ours", PROJECT_ENVIRONMENT, 1.5
    ),
    "plumbline_closer": ContestantInfo(
        "Plumbline, every 10 records", "plumbline", "ShortStride", "ours", PROJECT_ENVIRONMENT, 3
    ),
    "plumbline_windows": ContestantInfo(
        "Plumbline, window tests", "plumbline", "WindowTests", "ours", PROJECT_ENVIRONMENT, 1
    ),
    "river_adwin": ContestantInfo(
        "river ADWIN", "river_adwin", "Adwin", "peer", PROJECT_ENVIRONMENT, 0.3
    ),
    "river_page_hinkley": ContestantInfo(
        "river PageHinkley", "river_page_hinkley", "PageHinkley", "peer", PROJECT_ENVIRONMENT, 0.8
    ),
    "river_kswin": ContestantInfo(
        "river KSWIN", "river_kswin", "Kswin", "peer", PROJECT_ENVIRONMENT, 200
    ),
    "evidently": ContestantInfo(
        "evidently", "evidently_drift", "Evidently", "peer", PEER_ENVIRONMENT, 100
    ),
    "alibi_cvm": ContestantInfo(
        "alibi-detect CVM online", "alibi_cvm", "CvmOnline", "peer", PEER_ENVIRONMENT, 160
    ),
    "frouros_ks": ContestantInfo(
        "frouros incremental KS", "frouros_ks", "IncrementalKs", "peer", PEER_ENVIRONMENT, 80
    ),
    "textbook": ContestantInfo(
        "textbook recipe", "textbook", "Textbook", "peer", PROJECT_ENVIRONMENT, 1.5
    ),
    "always": ContestantInfo(
        "always fires", "baselines", "Always", "baseline", PROJECT_ENVIRONMENT, 0.1
    ),
    "never": ContestantInfo(
        "never fires", "baselines", "Never", "baseline", PROJECT_ENVIRONMENT, 0.1
    ),
}
