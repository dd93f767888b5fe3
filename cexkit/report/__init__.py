"""The tearsheet of a coin: one HTML file that needs no network."""

from cexkit.report.tearsheet import Tearsheet, tearsheet

__all__ = ["Tearsheet", "tearsheet"]
