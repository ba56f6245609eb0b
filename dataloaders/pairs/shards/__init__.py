"""Noisy/clean pairs in shards: few large tar files in WebDataset layout.

layout      the names of files and members, and the lines that list shards
reading     the list of shards, and members by random access; local or by any URL of fsspec
anywhere    the same for a training: remote shards through copies of their parts
local_copies  the bounded folder of such copies, which several processes share
decoding    pictures and RAW planes from the bytes of a pair, and their check
planning    which photos belong to which shard, before any is made
writing     one tar and its index
folder      a folder of shards: settings, which shards are finished, the list of shards
making      makes shards
members     the bytes of a pair's members
selection   which shards a process makes: ranges, array jobs, several processes
conversion  from the unpacked folder to shards, and back
"""
