"""Reading a dataset: connections, tokens, point-in-time joins, and SQL queries."""
