"""Assets, made by factory wherever only data differs."""
