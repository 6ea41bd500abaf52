"""Tests of the style of texts."""
