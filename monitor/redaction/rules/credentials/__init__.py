"""Credentials that are recognised by what stands around them."""
