"""Binance on this machine: canonical frames in, Binance's wire form out, quirks included."""

from cexkit.testing.binance.venue import LoopbackBinance

__all__ = ["LoopbackBinance"]
