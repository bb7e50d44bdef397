"""Invented VPC traffic, with labelled attacks in it."""

from streams.generate.episode import Truth
from streams.generate.traffic import Traffic

__all__ = ["Traffic", "Truth"]
