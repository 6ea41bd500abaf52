"""The daemon: reads inference logs from Kafka and raises drift alarms. See ARCHITECTURE.md."""

import os

__version__ = "0.1.0"

# The matrix products of a stride are small. OpenBLAS would split them among one thread per core,
# and its idle threads spin, which slows ingest down. It reads this variable when numpy is imported,
# which happens after this package is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
