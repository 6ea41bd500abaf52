"""Grafana dashboards built by code: a file a dashboard, its JSON beside it.

To add one: a module with `dashboard() -> Dashboard`, a line in `build.DASHBOARDS`, and
`plumbline dashboards build grafana/dashboards`.
"""
