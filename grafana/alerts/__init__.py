"""Alert rules and routes for Prometheus, and Grafana's own alerting made from the same files.

To add a rule: its lines in `plumbline.rules.yaml`, a page in docs/runbooks, a firing and a quiet
case in tests/grafana/alerts/data, and `make alerts`. Tests hold them together.
"""
