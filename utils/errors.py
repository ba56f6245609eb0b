"""Errors that are meant for the user, not for the developer."""


class UserError(Exception):
    """A problem that the user can solve.

    The message says which file, what was expected, what was found, and what to do.
    """
