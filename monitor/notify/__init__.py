"""Telling people and programs of drift: what a message says, when it is sent, and sending it."""
