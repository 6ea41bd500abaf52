"""Tests of the log formats of gateways."""
