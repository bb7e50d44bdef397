"""How findings are written for others: one module a format."""

from streams.formats.contract import Format, formats

__all__ = ["Format", "formats"]
