"""Funding metrics: rates, cashflows, spreads, statistics, and weighted funding."""
