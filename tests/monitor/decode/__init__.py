"""Tests of the formats of inference logs."""
