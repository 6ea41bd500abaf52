"""Judged quality: rubrics, judge clients, panels, calibration, budget and RAGAS; no Kafka."""
