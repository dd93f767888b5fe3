"""Machinery behind the metrics: registry, dispatch, input checks, and backend compatibility."""
