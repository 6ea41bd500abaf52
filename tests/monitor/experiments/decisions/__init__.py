"""Tests of the decisions of experiments."""
