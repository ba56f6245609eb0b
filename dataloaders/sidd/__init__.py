"""The Smartphone Image Denoising Dataset: its files, results on it, submissions."""
