"""The error that a user can mend."""


class UserError(Exception):
    """Something that the user can mend: shown as one line, without a traceback, exit status 2."""
