"""The peers of `make bench-billing`: each deduplicates the landed usage events of a lake and adds them up.

    billing_peers.py CONTESTANT LAKE RESULT --memory-mib N --spill FOLDER    the sums, as Parquet, into the folder RESULT
    billing_peers.py compare LAKE RESULT --spill FOLDER                      RESULT against the rollups that stand in LAKE

The same question to all. Of the events of one (customer, request id, fingerprint) one counts: done before rejected, then
the earliest accepted_at, then the lowest (epoch, partition, offset). What counts is added up by customer, hour of
accepted_at, region, operation, formats and outcome. Nobody needs to sort the answer.

Each query asks first which request ids there are more than once, and looks closely at those alone: of what was tried this
is by far the fastest way in each of the three. See FORMS for DuckDB.
"""

import argparse
import json
import os
import sys
from pathlib import Path

THREADS = 2
KEY = "customer_id, request_id, fingerprint"
LABELS = ["region", "operation", "input_format", "output_format", "outcome"]
QUANTITIES = ["input_bytes", "output_bytes", "input_pixels", "output_pixels", "cpu_micros"]
GROUP = ["customer_id", "billing_hour", *LABELS]
COLUMNS = ["customer_id", "accepted_at", *LABELS, *QUANTITIES]
# Which of one conversion counts; the directories of a lake say epoch and partition.
RANK = 'outcome <> \'done\', accepted_at, epoch, partition, "offset"'


def landed(lake):
    return f"{lake}/landing/usage.events"


def sums(hour, quantity):
    quantities = ", ".join(f"{quantity.format(name)} AS {name}" for name in QUANTITIES)
    return f"customer_id, {hour} AS billing_hour, {', '.join(LABELS)}, count(*) AS conversions, {quantities}"


# --- DuckDB ---------------------------------------------------------------------------------------------------------

# Whole numbers, as a sum of BIGINT is a HUGEINT, which Parquet has not; a cast of what does not fit is an error.
DUCKDB_SUMS = sums("epoch_ms(accepted_at) // 3600000", "sum({})::BIGINT")

# Of what was tried the fastest by a third, and smaller than the defaults.
DUCKDB_PARQUET = "COMPRESSION zstd, COMPRESSION_LEVEL 1, PARQUET_VERSION v2, DICTIONARY_SIZE_LIMIT 1000"

# Each gives the events that count, out of {events}.
FORMS = {
    "duckdb-verify": f"""
        WITH again AS MATERIALIZED (SELECT {{key}} AS key FROM {{events}} GROUP BY ALL HAVING count(*) > 1)
        SELECT {", ".join(COLUMNS)} FROM {{events}} WHERE {{key}} NOT IN (FROM again)
        UNION ALL
        (SELECT {", ".join(COLUMNS)} FROM {{events}} WHERE {{key}} IN (FROM again)
         QUALIFY row_number() OVER (PARTITION BY {KEY} ORDER BY {RANK}) = 1)""",
    "duckdb-anti": f"""
        WITH again AS MATERIALIZED (SELECT {{key}} AS key FROM {{events}} GROUP BY ALL HAVING count(*) > 1)
        SELECT {", ".join(COLUMNS)} FROM {{events}} ANTI JOIN again ON {{key}} = key
        UNION ALL
        (SELECT {", ".join(COLUMNS)} FROM {{events}} SEMI JOIN again ON {{key}} = key
         QUALIFY row_number() OVER (PARTITION BY {KEY} ORDER BY {RANK}) = 1)""",
    "duckdb-window": f"""
        SELECT {", ".join(COLUMNS)} FROM {{events}} QUALIFY row_number() OVER (PARTITION BY {KEY} ORDER BY {RANK}) = 1""",
    "duckdb-aggregate": f"""
        SELECT unnest(arg_min(struct_pack({", ".join(f"{name} := {name}" for name in COLUMNS if name != "customer_id")}),
            row({RANK}))), customer_id FROM {{events}} GROUP BY {KEY}""",
}


def connect(arguments):
    import duckdb

    connection = duckdb.connect()
    memory = f"SET memory_limit = '{arguments.memory_mib}MiB'" if arguments.memory_mib else ""
    connection.execute(f"SET threads = {THREADS}; SET temp_directory = '{arguments.spill}'; {memory}")
    connection.execute("SET preserve_insertion_order = false")
    return connection


def duckdb_files(arguments):
    return f"read_parquet('{landed(arguments.lake)}/**/*.parquet', hive_partitioning = true)"


def by_duckdb(arguments):
    form, _, days = arguments.who.partition("+")
    who_temp = form.endswith("-temp")
    form = form.removesuffix("-temp")
    key = "request_id"
    if form.endswith("-hash"):
        form, key = form.removesuffix("-hash"), "hash(request_id)"
    connection = connect(arguments)
    files = duckdb_files(arguments)
    chunks = [""]
    if days:
        hours = [h for (h,) in connection.execute(f"SELECT DISTINCT id_hour FROM {files} WHERE id_hour IS NOT NULL ORDER BY 1").fetchall()]
        starts = hours[:: int(days)]
        chunks = [f" AND id_hour >= '{start}'" + (f" AND id_hour < '{end}'" if end else "") for start, end in zip(starts, [*starts[1:], None])]
    for number, chunk in enumerate(chunks):
        events = f"(SELECT * FROM {files} WHERE quarantine_reason IS NULL{chunk})"
        if who_temp:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE chunk AS SELECT DISTINCT_COLS FROM {events}".replace("DISTINCT_COLS", ", ".join(COLUMNS + ['request_id','fingerprint','epoch','partition','"offset"'])))
            events = "chunk"
        query = FORMS[form].format(events=events, key=key)
        connection.execute(
            f"COPY (SELECT {DUCKDB_SUMS} FROM ({query}) GROUP BY {', '.join(GROUP)}) "
            f"TO '{arguments.result}/{number:05}.parquet' ({DUCKDB_PARQUET})"
        )


# --- DataFusion -----------------------------------------------------------------------------------------------------

def by_datafusion(arguments):
    import pyarrow
    from datafusion import RuntimeEnvBuilder, SessionConfig, SessionContext

    runtime = RuntimeEnvBuilder().with_disk_manager_specified(arguments.spill)
    if arguments.memory_mib:
        runtime = runtime.with_fair_spill_pool(arguments.memory_mib << 20)
    context = SessionContext(SessionConfig().with_target_partitions(THREADS), runtime)
    places = [("epoch", pyarrow.int32()), ("partition", pyarrow.int32())]
    context.register_parquet("landed", landed(arguments.lake), table_partition_cols=places)
    columns = ", ".join(COLUMNS)
    # `to_unixtime` is in whole seconds; a sum of BIGINT wraps here, which these do not come near.
    query = f"""
        WITH events AS (SELECT * FROM landed WHERE quarantine_reason IS NULL),
        again AS (SELECT request_id AS id FROM events GROUP BY request_id HAVING count(*) > 1),
        ranked AS (
            SELECT {columns}, row_number() OVER (PARTITION BY {KEY} ORDER BY {RANK}) AS rank
            FROM again RIGHT SEMI JOIN events ON request_id = id),
        counted AS (
            SELECT {columns} FROM again RIGHT ANTI JOIN events ON request_id = id
            UNION ALL SELECT {columns} FROM ranked WHERE rank = 1)
        SELECT {sums("to_unixtime(accepted_at) / 3600", "sum({})")} FROM counted GROUP BY {", ".join(LABELS)}, customer_id, to_unixtime(accepted_at) / 3600"""
    context.sql(query).write_parquet(arguments.result, compression="zstd", compression_level=1)


# --- Polars ---------------------------------------------------------------------------------------------------------

def by_polars(arguments):
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    import polars as pl

    events = pl.scan_parquet(f"{landed(arguments.lake)}/**/*.parquet", hive_partitioning=True)
    events = events.filter(pl.col("quarantine_reason").is_null())
    again = events.group_by("request_id").len().filter(pl.col("len") > 1).select("request_id")
    alone = events.join(again, on="request_id", how="anti").select(COLUMNS)
    rank = [pl.col("outcome") != "done", "accepted_at", "epoch", "partition", "offset"]
    winners = events.join(again, on="request_id", how="semi").sort(rank)
    winners = winners.unique(KEY.split(", "), keep="first", maintain_order=True).select(COLUMNS)
    hour = (pl.col("accepted_at").dt.timestamp("ms") // 3_600_000).alias("billing_hour")
    counted = pl.concat([alone, winners]).with_columns(hour).group_by(GROUP)
    result = counted.agg(pl.len().cast(pl.Int64).alias("conversions"), *[pl.col(name).sum() for name in QUANTITIES])
    result.sink_parquet(f"{arguments.result}/0.parquet", compression="zstd", compression_level=1, engine="streaming")


# --- What they say ---------------------------------------------------------------------------------------------------

DAY_HOURS = 24


def compare(arguments):
    """Day by day, which bounds memory; a group that stands in several rows is added up first."""
    connection = connect(arguments)
    quantities = ", ".join(f"sum({name})::BIGINT AS {name}" for name in ["conversions", *QUANTITIES])
    labels = ", ".join(["customer_id", *LABELS])
    rollups = [str(path) for path in Path(arguments.lake, "rollups").glob("*/*.parquet") if ".repeats." not in path.name]
    ours = f"(SELECT * REPLACE (epoch_ms(billing_hour) // 3600000 AS billing_hour) FROM read_parquet({rollups}))"
    theirs = f"read_parquet('{arguments.result}/*.parquet')"
    first, last = connection.execute(
        f"SELECT min(hour), max(hour) FROM (SELECT billing_hour AS hour FROM {ours} UNION ALL SELECT billing_hour FROM {theirs})"
    ).fetchone()
    answer = {"rows": 0, "conversions": 0, "only_ours": 0, "only_theirs": 0, "example": None}
    for day in range(first, last + 1, DAY_HOURS):
        for name, source in [("ours", ours), ("theirs", theirs)]:
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT {labels}, billing_hour::BIGINT AS billing_hour, {quantities} "
                f"FROM {source} WHERE billing_hour >= {day} AND billing_hour < {day + DAY_HOURS} GROUP BY ALL"
            )
        rows, conversions = connection.execute("SELECT count(*), coalesce(sum(conversions), 0)::BIGINT FROM theirs").fetchone()
        answer["rows"] += rows
        answer["conversions"] += conversions
        for key, one, other in [("only_ours", "ours", "theirs"), ("only_theirs", "theirs", "ours")]:
            differing = connection.execute(f"FROM {one} EXCEPT FROM {other}").fetchmany(1)
            if differing:
                answer[key] += connection.execute(f"SELECT count(*) FROM (FROM {one} EXCEPT FROM {other})").fetchone()[0]
                answer["example"] = answer["example"] or f"{key}: {differing[0]}"
    print(json.dumps(answer))


def count(arguments):
    """Landed events, duplicates, and request ids with more than one body, counted in the plainest way."""
    connection = connect(arguments)
    landed_events, conversions, conflicts = connection.execute(f"""
        SELECT sum(events)::BIGINT, sum(bodies)::BIGINT, count(*) FILTER (bodies > 1) FROM (
            SELECT customer_id, request_id, sum(events) AS events, count(*) AS bodies FROM (
                SELECT {KEY}, count(*) AS events FROM {duckdb_files(arguments)}
                WHERE quarantine_reason IS NULL GROUP BY ALL)
            GROUP BY ALL)""").fetchone()
    print(json.dumps({"landed": landed_events, "duplicates": landed_events - conversions, "conflicts": conflicts}))


WHO = {"duckdb": by_duckdb, "datafusion": by_datafusion, "polars": by_polars, "compare": compare, "count": count}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("who")
    parser.add_argument("lake")
    parser.add_argument("result")
    parser.add_argument("--memory-mib", type=int, required=True)
    parser.add_argument("--spill", required=True)
    arguments = parser.parse_args()
    WHO[arguments.who.split("-")[0].split("+")[0]](arguments)
