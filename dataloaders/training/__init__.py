"""What the networks train on: patches of photos, of camera RAW and of stored pairs."""
