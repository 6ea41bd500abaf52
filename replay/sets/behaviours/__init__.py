"""Behaviour suites that Plumbline ships: refusals, paraphrases, form and language."""
