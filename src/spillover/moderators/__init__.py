"""STEP 6b: what strengthens or weakens the spillover: moderators, regimes, thresholds."""
