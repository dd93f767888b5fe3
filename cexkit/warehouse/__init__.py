"""Write side: storage, ingestion, Gold, checks, live collection, and publication."""
