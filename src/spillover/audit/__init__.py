"""Is it a spillover? What every estimate must pass before its stars are read."""
