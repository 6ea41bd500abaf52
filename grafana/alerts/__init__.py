"""Alert rules and routes for Prometheus, and Grafana alerting generated from the same files.

To add a rule, add it to `plumbline.rules.yaml`, write a page in docs/runbooks, add a firing and a
quiet case in tests/grafana/alerts/data, and run `make alerts`. Tests check that all of them exist.
"""
