"""Texts with and without each kind of data, made from templates apart from the rules."""
