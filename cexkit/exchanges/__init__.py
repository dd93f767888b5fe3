"""The venues cexkit reads: descriptors, pure parsers, and the code that sends requests."""
