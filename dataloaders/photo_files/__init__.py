"""Readers of photo files by format: the stored pixels, and what the file says of them."""
