"""Batch script templates and one TOML per site; data only."""
