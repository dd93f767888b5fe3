"""Reading a dataset: connections, tokens, questions, and queries."""
