"""DuckDB: four sums and two distinct counts of both hosts of each record and minute, from a file. `FILE THREADS`.

Runs with the Python of the peers, where Flowhawk is not installed. THREADS is 0 for as many as DuckDB chooses.
"""

import sys

import duckdb

_SUMS = """
WITH flows AS MATERIALIZED (
  FROM read_csv(?, delim = ' ', header = false, nullstr = '-', quote = '', columns = {
    'version': 'UTINYINT', 'account_id': 'VARCHAR', 'interface_id': 'VARCHAR', 'srcaddr': 'VARCHAR',
    'dstaddr': 'VARCHAR', 'srcport': 'USMALLINT', 'dstport': 'USMALLINT', 'protocol': 'UTINYINT',
    'packets': 'BIGINT', 'bytes': 'BIGINT', 'start': 'BIGINT', 'end': 'BIGINT', 'action': 'VARCHAR',
    'log_status': 'VARCHAR'})
), ends AS (
  SELECT "end" // 60 AS pane, srcaddr AS host, dstaddr AS peer, dstport AS port,
    bytes AS sent, packets AS sent_packets, 0 AS received, 0 AS received_packets FROM flows
  UNION ALL
  SELECT "end" // 60, dstaddr, srcaddr, srcport, 0, 0, bytes, packets FROM flows
), hosts AS (
  SELECT pane, host, sum(sent) AS sent, sum(sent_packets) AS sent_packets, sum(received) AS received,
    sum(received_packets) AS received_packets, count(DISTINCT peer) AS peers, count(DISTINCT port) AS ports
  FROM ends GROUP BY pane, host
)
SELECT count(*), sum(sent), sum(sent_packets), sum(received), sum(received_packets), sum(peers), sum(ports) FROM hosts
"""


def main(path: str, threads: int) -> None:
    """Count, and print the totals."""
    with duckdb.connect() as connection:
        if threads:
            connection.execute(f"SET threads = {threads}")
        print(*connection.execute(_SUMS, [path]).fetchall())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
