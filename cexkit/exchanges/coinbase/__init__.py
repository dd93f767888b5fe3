"""Coinbase: descriptor, payload parsers, and its other sources."""
