"""Files in, results out: denoised pictures, pictures in other colours."""
