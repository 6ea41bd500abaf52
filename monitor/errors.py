"""Errors that the user can fix."""


class UserError(Exception):
    """An error that the user can fix: printed on one line without a traceback, exit status 2."""


def os_error_reason(error: OSError) -> str:
    """Return the reason of an operating system error in lower case."""
    return (error.strerror or type(error).__name__).lower()
