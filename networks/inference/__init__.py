"""Trained networks on users' pictures: whole photos, batches of crops, colours of another view."""
