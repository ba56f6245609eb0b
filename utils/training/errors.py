"""The error of training, meant for the user."""

from cycleisp.utils.errors import UserError


class TrainingError(UserError):
    """Training that cannot start or go on; the message says why and what to do."""
