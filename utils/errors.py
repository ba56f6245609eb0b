"""Errors that are meant for the user, not for the developer."""


class UserError(Exception):
    """Something a user can mend: the message says which file, what was expected, what came, and what to do."""
