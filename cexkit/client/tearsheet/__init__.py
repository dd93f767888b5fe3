"""The tearsheet of a coin: one HTML file that needs no network."""

from cexkit.client.tearsheet.page import Tearsheet, tearsheet

__all__ = ["Tearsheet", "tearsheet"]
