"""The rules of redaction: a file for each family of data, and the list of all."""
