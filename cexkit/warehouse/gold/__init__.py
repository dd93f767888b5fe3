"""Gold tables: how each is computed, and building them in a warehouse."""
