"""Real noise of sensors: where it is found, and how it is put on images."""
