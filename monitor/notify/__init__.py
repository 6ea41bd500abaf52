"""Notifications: the events for a target, the content of messages, and their delivery."""
