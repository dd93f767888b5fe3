"""Crypto derivatives data for research."""
