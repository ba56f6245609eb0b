"""A camera's own JPEG of a RAW file: finding it, and laying it onto the mosaic.

| file | what it has |
|---|---|
| `preview.py` | the JPEG inside of a RAW file, and those beside it |
| `lens_warp.py` | the places of a mosaic's pixels in its JPEG: crop, scale, lens correction |
| `tile_shifts.py` | how far small parts of two pictures are apart |
| `registration.py` | the two together: finds the warp, and checks it |
"""
