"""OKX on this machine: canonical frames in, OKX's wire form out, quirks included."""

from cexkit.testing.okx.venue import LoopbackOkx

__all__ = ["LoopbackOkx"]
