"""Can this click log identify this two-tower model, and what to do about it."""
