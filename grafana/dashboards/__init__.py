"""Grafana dashboards generated from code: one module for each dashboard, with its JSON beside it.

To add one, write a module with `dashboard() -> Dashboard`, add it to `build.DASHBOARDS`, and run
`plumbline dashboards build grafana/dashboards`.
"""
