"""Who should speak: pure decisions. No clock, no network, no state."""
