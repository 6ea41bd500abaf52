"""Tests of reports of experiments."""
