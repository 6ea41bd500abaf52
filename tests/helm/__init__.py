"""Tests of the chart, rendered with Helm compiled into a library."""
