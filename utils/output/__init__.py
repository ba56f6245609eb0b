"""What is written and shown: whole files, pictures, progress."""
