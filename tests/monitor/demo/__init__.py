"""Tests of the demo's made traffic and of its plot."""
