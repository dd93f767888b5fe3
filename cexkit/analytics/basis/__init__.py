"""Basis metrics: basis, constant-maturity basis, and carry."""
