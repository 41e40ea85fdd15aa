"""The one exception that a person is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: one line that names the file, row, field or option, and the remedy.

    The command line prints it without a traceback and exits with code 2.
    """


class NoSplit(UserError):
    """A dataset that is there has no such split."""
