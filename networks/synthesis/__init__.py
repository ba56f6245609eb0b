"""Cameras, learned and simulated, and the noisy/clean pairs that they make."""
