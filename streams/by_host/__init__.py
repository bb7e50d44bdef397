"""Topology by-host: decoded records cross Kafka in blocks, to whoever keeps the state of their hosts."""
