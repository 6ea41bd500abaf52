"""Tests of `plumbline demo`."""
