"""The Darmstadt Noise Dataset: its files, results on it, submissions."""
