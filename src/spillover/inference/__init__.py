"""Result types that every later stage returns, and how uncertainty travels through functions."""
