"""What a proof is made of: something to say, what was said, and whether two say the same."""
