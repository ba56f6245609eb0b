"""The size at which colours are matched, apart from what matches them: help texts state it."""

WORKING_SIZE = 512  # pixels of the longer side that the networks see
