"""Flink SQL: four sums and two distinct counts of each host and minute. `BOOTSTRAP TOPIC LIMIT CONNECTOR HOSTS`.

HOSTS is 1 to count senders only, and 2 to count both hosts of a record, as Flowhawk does. Runs with the Python of
Flink. A first job reads a third of the limit, so that the second one meets a warm machine; its start counts.
"""

import os
import sys

from pyflink.table import EnvironmentSettings, TableEnvironment

from benchmarks.progress import Progress

_SENDERS = """
SELECT source AS host, destination AS peer, destination_port AS port, octets AS sent, packets AS sent_packets,
  CAST(0 AS BIGINT) AS received, CAST(0 AS BIGINT) AS received_packets, moment
FROM {table}
"""

_RECEIVERS = """
SELECT destination, source, source_port, CAST(0 AS BIGINT), CAST(0 AS BIGINT), octets, packets, moment
FROM {table}
"""

_SUMS = """
INSERT INTO nowhere
SELECT window_start, host, SUM(sent), SUM(sent_packets), SUM(received), SUM(received_packets),
  COUNT(DISTINCT peer), COUNT(DISTINCT port)
FROM TABLE(TUMBLE(TABLE ends, DESCRIPTOR(moment), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, host
"""

_NOWHERE = """
CREATE TABLE nowhere (
  minute_start TIMESTAMP(3), host STRING, sent BIGINT, sent_packets BIGINT, received BIGINT, received_packets BIGINT,
  peers BIGINT, ports BIGINT
) WITH ('connector' = 'blackhole')
"""

_TOPIC = """
CREATE TEMPORARY TABLE {table} (
  format_version INT, account STRING, interface STRING, source STRING, destination STRING, source_port INT,
  destination_port INT, protocol INT, packets BIGINT, octets BIGINT, begun BIGINT, ended BIGINT, verdict STRING,
  log_status STRING,
  moment AS TO_TIMESTAMP_LTZ(ended, 0), WATERMARK FOR moment AS moment - INTERVAL '15' MINUTE
) WITH (
  'connector' = 'kafka', 'topic' = '{topic}', 'properties.bootstrap.servers' = '{bootstrap}',
  'properties.max.partition.fetch.bytes' = '4194304', 'properties.max.poll.records' = '20000',
  'properties.fetch.max.wait.ms' = '50',
  'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'specific-offsets',
  'scan.bounded.specific-offsets' = 'partition:0,offset:{limit}',
  'format' = 'csv', 'csv.field-delimiter' = ' ', 'csv.null-literal' = '-', 'csv.disable-quote-character' = 'true'
)
"""


def main(bootstrap: str, topic: str, limit: int, connector: str, hosts: int) -> None:
    """Count a third of the limit, then all of it."""
    tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    tables.get_config().set("pipeline.jars", f"file://{connector}")
    tables.get_config().set("parallelism.default", str(os.cpu_count()))
    tables.execute_sql(_NOWHERE)
    warmed = limit // 3
    progress = Progress(warmed + limit)
    for table, records in (("warming", warmed), ("measured", limit)):
        tables.execute_sql(_TOPIC.format(table=table, topic=topic, bootstrap=bootstrap, limit=records))
        parts = [_SENDERS, _RECEIVERS][:hosts]
        query = "UNION ALL".join(part.format(table=table) for part in parts)
        tables.execute_sql(f"CREATE TEMPORARY VIEW ends AS {query}")
        tables.execute_sql(_SUMS).wait()
        tables.drop_temporary_view("ends")
        progress.add(records)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
