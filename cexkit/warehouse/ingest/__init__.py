"""Venues to Bronze to Silver, as plain functions that `cexkit pull` and the Dagster assets call.

Bronze stores every raw response. Silver is built from Bronze, so it can be rebuilt at any time, and a
complete Bronze always gives the same Silver. Rows of a lost Bronze file stay in Silver.
"""
