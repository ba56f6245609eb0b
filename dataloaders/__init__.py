"""Everything that reads or writes data: from files to tensors, and from results to files.

Nothing here knows the networks. README.md in this folder lists the rooms and the keys of a batch.
"""
