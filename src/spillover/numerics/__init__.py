"""Pure functions on arrays; nothing here knows of regions, years or tables."""
