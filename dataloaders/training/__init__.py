"""What the networks train on.

    raw_pairs           camera files prepared as pairs {photo, RAW}, for fast random access
    isp_patches         patches of such pairs, and of photos through simulated cameras, for the ISP
    view_patches        two views of one patch in two renderings, for colour matching
    denoising_patches   patches of clean photos with the draws of their noise, for the denoisers
    stored_pairs        patches of the pairs that generate_data.py wrote, and pairs for validation
    packed_pairs        the same pairs in shards; packed_finding finds them, shard_check checks them
    lmdb_export         pairs as LMDB folders for other programs
    denoising_data      training stream and validation set of a denoiser

`python -m cycleisp.dataloaders.training` prepares camera files, see `--help`.
"""
