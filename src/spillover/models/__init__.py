"""STEP 4: Panel + SpatialWeights + ModelSpec → SpatialFit."""
