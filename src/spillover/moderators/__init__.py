"""STEP 6b: what strengthens or weakens a spillover (moderators, regimes, thresholds), and how far it reaches."""
