"""The write path as Dagster assets: Bronze and Silver of every venue and table that cexkit reads."""
