"""Valid files of every kind that the project reads, and their readers, for tests/support/trials.py.

Readers are imported where they are used: the process that tries them begins without PyTorch.
"""
