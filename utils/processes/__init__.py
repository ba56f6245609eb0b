"""Processes: readers apart from the run, signals that end it, and nothing that outlives it.

apart           a reader in a process of its own, so that a bad file costs that file alone
reader_process  the other side of it
reading_now     which file a loader process reads at the moment
lifetimes       processes that end with the one that started them
together        several processes of one run that begin and end together
stops           Ctrl-C and SIGTERM while a script runs
early_stop      Ctrl-C while it still imports
"""
