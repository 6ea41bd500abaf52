"""Where dashboards and alerts lead to."""

RUNBOOKS = "https://plumbline.example/runbooks/"
"""The published folder docs/runbooks; a page is named after its alert, in lower case.

Nobody owns this address; `build --runbooks`, of dashboards and of alerts, writes yours.
"""
