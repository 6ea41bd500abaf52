"""Events as sentences, for logs, messages and reports."""
