"""Weight files: reading and writing them, their registry, downloads, and conversion.

    kinds            the one table of networks
    files            our safetensors files, and loading weights of either layout into a network
    released_files   .pth files in the layout of the released CycleISP
    released_layout  the names and the order of the parameters in that layout
    conversion       one layout to the other, and float32 to float16
    registry         which weights have a name
    folders          where weight files lie
    download         fetching the files of the registry
    transfers        how bytes come from the web, from Google Drive and from folders
    errors           what these modules raise

The command line `python -m cycleisp.utils.weights` converts files.
"""
