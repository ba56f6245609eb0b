"""Folders of noisy/clean pairs: making, storing, looking at them."""
