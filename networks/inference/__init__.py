"""Trained networks on users' pictures: whole photos, batches of crops, the colours of another view."""
