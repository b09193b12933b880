"""Reads a landed segment of usage events with DuckDB and pyarrow, without options, and prints what each makes of it."""

import json
import sys

import duckdb
import pyarrow.compute as compute
import pyarrow.parquet as parquet

QUANTITIES = ["input_bytes", "output_bytes", "input_pixels", "output_pixels", "cpu_micros"]


def by_duckdb(path):
    sums = ", ".join(f"sum({name})::varchar" for name in QUANTITIES)
    query = f"""
        SELECT count(*), count(quarantine_reason), count(DISTINCT request_id), min(request_id)::varchar,
            max(epoch_ms(append_time)), {sums}
        FROM '{path}'"""
    rows, quarantined, ids, first, last_time, *sums = duckdb.sql(query).fetchall()[0]
    return [rows, quarantined, ids, first, last_time, *sums]


def by_pyarrow(path):
    table = parquet.read_table(path)
    ids = sorted({str(value) for value in table["request_id"].to_pylist() if value is not None})
    last_time = compute.max(table["append_time"]).as_py()
    sums = [str(sum(value for value in table[name].to_pylist() if value is not None)) for name in QUANTITIES]
    quarantined = len(table) - table["quarantine_reason"].null_count
    return [len(table), quarantined, len(ids), ids[0], round(last_time.timestamp() * 1000), *sums]


path = sys.argv[1]
print(json.dumps({"duckdb": by_duckdb(path), "pyarrow": by_pyarrow(path)}))
