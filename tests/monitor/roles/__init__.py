"""Tests of monitor.roles."""
