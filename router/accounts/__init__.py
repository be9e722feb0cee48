"""Who pays: keys, what they may, and books that balance."""
