"""Venues to Bronze to Silver, as plain functions that `cexkit pull` and the Dagster assets call.

Bronze stores every raw response. Silver is built from Bronze alone, so it can be rebuilt at any time, and the same
Bronze always gives the same Silver.
"""
