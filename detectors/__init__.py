"""The detection library: columns in, findings out.

Nothing here knows Kafka, files, metrics or the wall clock; `streams` brings all of those.
"""
