"""What goes wrong with weight files."""

from cycleisp.utils.errors import UserError


class WeightsError(UserError):
    """A weight file that cannot be used; the message says which, what was expected, what came."""


class DownloadError(UserError):
    """Weights that cannot be fetched, or are not the registered ones; the message says why."""

    is_list = True
