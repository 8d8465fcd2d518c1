"""STEP 6b: what strengthens a spillover, and how far it reaches."""
