"""Weight files: ours and the released ones, their registry, their download."""
