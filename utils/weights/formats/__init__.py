"""What weight files look like inside.

contents           what kind of file it is, also where it holds no weights
safetensors_files  our container: a fixed order, and a checksum
pickles            .pth files as such: claims against contents, then PyTorch's reader
dialects           how other programs wrap a state dict
released_files     .pth files in the layout of the released CycleISP
released_layout    the names and the order of the parameters in that layout
"""
