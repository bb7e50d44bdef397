"""Windowed statistics of hosts: records are folded into contacts by pane, and tables are summed over panes.

This first implementation keeps one table of contacts per pane, for all shards together, exact and without caps;
bytes count in the pane of a record's end.
"""
