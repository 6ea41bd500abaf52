"""The contestants by name. To add one: a file, and a line here.

A module is imported only in the environment that it needs: OURS is the project's own, THEIRS the
one that `make bench-detectors` makes of constraints/peers.txt.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from benchmarks.detectors.protocol import Peer

OURS, THEIRS = "ours", "theirs"


@dataclass(frozen=True, slots=True)
class Contestant:
    """Where a peer is to be found.

    title: its name for people. role: "ours", "peer", or "baseline" (not to be compared with).
    cost: microseconds a record and feature, roughly, to plan what is affordable; the measured cost
    is another matter.
    """

    title: str
    module: str
    made_by: str
    role: str
    environment: str
    cost: float

    def load(self) -> Peer:
        """The peer itself; its library is imported."""
        made = getattr(import_module(f"benchmarks.detectors.{self.module}"), self.made_by)()
        assert isinstance(made, Peer)
        return made


CONTESTANTS = {
    "plumbline": Contestant("Plumbline", "ours", "Everything", "ours", OURS, 1.5),
    "plumbline_closer": Contestant(
        "Plumbline, every 10 records", "ours", "Closer", "ours", OURS, 3
    ),
    "plumbline_windows": Contestant(
        "Plumbline, window tests", "ours", "WindowTests", "ours", OURS, 1
    ),
    "river_adwin": Contestant("river ADWIN", "peers.river_adwin", "Adwin", "peer", OURS, 0.3),
    "river_page_hinkley": Contestant(
        "river PageHinkley", "peers.river_page_hinkley", "PageHinkley", "peer", OURS, 0.8
    ),
    "river_kswin": Contestant("river KSWIN", "peers.river_kswin", "Kswin", "peer", OURS, 200),
    "evidently": Contestant("evidently", "peers.evidently_drift", "Evidently", "peer", THEIRS, 100),
    "alibi_cvm": Contestant(
        "alibi-detect CVM online", "peers.alibi_cvm", "CvmOnline", "peer", THEIRS, 160
    ),
    "frouros_ks": Contestant(
        "frouros incremental KS", "peers.frouros_ks", "IncrementalKs", "peer", THEIRS, 80
    ),
    "textbook": Contestant("textbook recipe", "peers.textbook", "Textbook", "peer", OURS, 1.5),
    "always": Contestant("always fires", "peers.baselines", "Always", "baseline", OURS, 0.1),
    "never": Contestant("never fires", "peers.baselines", "Never", "baseline", OURS, 0.1),
}
