"""Tests of the chart, with Helm itself, compiled into a library."""
