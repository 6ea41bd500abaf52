"""The daemon: from inference logs in Kafka to drift alarms. ARCHITECTURE.md shows the way."""

import os

__version__ = "0.1.0"

# The products of a stride are small. OpenBLAS would share them among as many threads as there are
# cores and let these spin in between, at the cost of all that ingest does meanwhile. It reads this
# when numpy is imported first, which is after this package.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
