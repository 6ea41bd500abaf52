"""RAGAS: its own metrics over the project's judge client; a report on retrieval and generation.

ragas takes ten seconds to import, so only `llm.py` and `embedding.py` import it, and `scorer.py`
imports these when a scorer is made.
"""

import os

# ragas reads this when it is imported, which happens after this package is.
os.environ["RAGAS_DO_NOT_TRACK"] = "true"
