"""The paper's regional innovation system as a generator with known truth, and its two illustrative tables."""
