"""Noisy/clean pairs on disk.

folders   any two folders of pictures, noisy/NAME beside clean/NAME
store     the folder that generate_data.py writes: layout, resume, several processes
manifest  the lines that say which pairs such a folder holds
naming    what pairs are called
factory   fills such a folder from photos: reads, computes and writes at the same time
preview   a contact sheet of such a folder
shards/   many pairs in a tar file, in WebDataset layout, for very many pairs

`python -m cycleisp.dataloaders.pairs` packs a folder into shards and more, see `--help`.
"""
