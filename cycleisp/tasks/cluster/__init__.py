"""Shards made by Ray, on the machines of a cluster.

`engine` hands the shards out as tasks, `networks` keeps the networks in actors with a GPU, and
`calls` sends them photos, whichever of them are alive.
"""
