"""Weight files: reading and writing them, their registry, downloads, and conversion.

    kinds            the one table of networks
    files            reading and writing weights of either layout, and loading them into a network
    safetensors_files  our container: a fixed order, and a checksum
    released_files   .pth files in the layout of the released CycleISP
    pickles          .pth files as such: claims against contents, then PyTorch's reader
    dialects         how other programs wrap a state dict
    contents         what a file is that holds no weights
    released_layout  the names and the order of the parameters in that layout
    conversion       one layout to the other, and float32 to float16
    registry         which weights have a name
    folders          where weight files lie
    held             registered files are held to their SHA-256
    download         fetching the files of the registry
    transfers        how bytes come from Google Drive, from folders, and (web) from the web
    parts            a file while it is downloaded
    pace             how slow a source may be
    errors           what these modules raise

The command line `python -m cycleisp.utils.weights` converts files.
"""
