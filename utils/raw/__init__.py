"""The sensor's side: Bayer mosaics, noise, camera files."""
