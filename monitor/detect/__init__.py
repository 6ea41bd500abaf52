"""Drift detection: from columns of features to drift events."""
