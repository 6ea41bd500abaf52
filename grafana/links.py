"""Link targets of dashboards and alerts."""

RUNBOOKS = "https://plumbline.example/runbooks/"
"""Base URL of the published folder docs/runbooks; a page is named after its alert, in lower case.

A placeholder: the option `--runbooks` of the dashboard and alert builds replaces it.
"""
