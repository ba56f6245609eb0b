"""Weight files: reading and writing them, their registry, downloads, and conversion.

    kinds            the one table of networks
    files            reading and writing weights of either layout, and loading them into a network
    formats/         what such files look like inside
    conversion       one layout to the other, and float32 to float16
    registry         which weights have a name
    folders          where weight files lie
    held             registered files are held to their SHA-256
    downloads/       fetching the files of the registry
    errors           what these modules raise

The command line `python -m cycleisp.utils.weights` converts files.
"""
