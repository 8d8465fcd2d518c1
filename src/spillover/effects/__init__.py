"""STEP 5: from coefficients to direct, indirect and total effects."""
