"""A trunk strip by strip: on CPUs, and for images that do not fit into a GPU's memory."""
