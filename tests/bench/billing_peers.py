"""The peers of `make bench-billing`: each deduplicates the landed usage events of a lake and adds them up.

    billing_peers.py CONTESTANT LAKE RESULT --memory-mib N --spill FOLDER    the sums, as Parquet, into the folder RESULT
    billing_peers.py compare LAKE RESULT …                                   RESULT against the rollups that stand in LAKE
    billing_peers.py count LAKE RESULT …                                     duplicates and conflicts, counted apart

The same question to all. Of the events of one (customer, request id, fingerprint) one counts: done before rejected, then
the earliest accepted_at, then the lowest (epoch, partition, offset). What counts is added up by customer, hour of
accepted_at, region, operation, formats and outcome. Nobody needs to sort the answer.

Each goes through the month in bites of some hours in which ids were minted: duplicates share one, so that a bite is a
question of its own, which takes less memory and no more time. Each first asks which ids there are more than once, and looks
closely at those alone. In CPU-seconds for 10 million events of 100,000 customers, at 67,000 events an hour, DuckDB 2.0.0:

    duckdb            15   the best that was found, so the peer
    duckdb-window     20   row_number() over all events; 27 in one bite, with 2 GB to use
    duckdb-aggregate  35   arg_min() of a struct; 50 in one bite, with 2 GB to use

All of them answer the same.
"""

import argparse
import json
import os
from pathlib import Path

THREADS = 2
BITE_EVENTS = 3_000_000
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


def bites(events_of_hour):
    """The first id-hour of each bite and of the next, by name. Those out of range have the last names."""
    starts, bite = [], BITE_EVENTS
    for hour, events in sorted(events_of_hour):
        if bite >= BITE_EVENTS:
            starts.append(hour)
            bite = 0
        bite += events
    return up_to_the_next(starts)


def up_to_the_next(starts):
    return list(zip(starts, [*starts[1:], "~"]))


# --- DuckDB ---------------------------------------------------------------------------------------------------------

# Whole numbers, as a sum of BIGINT is a HUGEINT, which Parquet has not; a cast of what does not fit is an error.
DUCKDB_SUMS = sums("epoch_ms(accepted_at) // 3600000", "sum({})::BIGINT")
# Of what was tried the fastest, by a third, and smaller than the defaults.
DUCKDB_PARQUET = "COMPRESSION zstd, COMPRESSION_LEVEL 1, PARQUET_VERSION v2, DICTIONARY_SIZE_LIMIT 1000"

WINDOW = f"QUALIFY row_number() OVER (PARTITION BY {KEY} ORDER BY {RANK}) = 1"
# The events that count, out of {events}.
DUCKDB_FORMS = {
    # A hash in the place of an id is smaller; two ids that share one are looked at, and no more.
    "duckdb": f"""
        WITH again AS MATERIALIZED (SELECT hash(request_id) AS id FROM {{events}} GROUP BY ALL HAVING count(*) > 1)
        SELECT {", ".join(COLUMNS)} FROM {{events}} ANTI JOIN again ON hash(request_id) = id
        UNION ALL
        (SELECT {", ".join(COLUMNS)} FROM {{events}} SEMI JOIN again ON hash(request_id) = id {WINDOW})""",
    "duckdb-window": f"""SELECT {", ".join(COLUMNS)} FROM {{events}} {WINDOW}""",
    "duckdb-aggregate": f"""
        SELECT customer_id, unnest(arg_min(struct_pack({", ".join(f"{name} := {name}" for name in COLUMNS[1:])}), row({RANK})))
        FROM {{events}} GROUP BY {KEY}""",
}


def connect(arguments):
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET threads = {THREADS}; SET memory_limit = '{arguments.memory_mib}MiB'")
    connection.execute(f"SET temp_directory = '{arguments.spill}'; SET preserve_insertion_order = false")
    return connection


def duckdb_files(arguments):
    return f"read_parquet('{landed(arguments.lake)}/**/*.parquet', hive_partitioning = true)"


def by_duckdb(arguments):
    connection, files = connect(arguments), duckdb_files(arguments)
    hours = f"SELECT id_hour, count(*) FROM {files} WHERE quarantine_reason IS NULL GROUP BY ALL"
    for first, next in bites(connection.execute(hours).fetchall()):
        of_bite = f"quarantine_reason IS NULL AND id_hour >= '{first}' AND id_hour < '{next}'"
        counted = DUCKDB_FORMS[arguments.who].format(events=f"(SELECT * FROM {files} WHERE {of_bite})")
        connection.execute(
            f"COPY (SELECT {DUCKDB_SUMS} FROM ({counted}) GROUP BY {', '.join(GROUP)}) "
            f"TO '{arguments.result}/{first}.parquet' ({DUCKDB_PARQUET})"
        )


# --- DataFusion -----------------------------------------------------------------------------------------------------


def by_datafusion(arguments):
    import pyarrow
    from datafusion import ParquetWriterOptions, RuntimeEnvBuilder, SessionConfig, SessionContext

    runtime = RuntimeEnvBuilder().with_disk_manager_specified(arguments.spill)
    runtime = runtime.with_fair_spill_pool(arguments.memory_mib << 20)
    # Both this and the options below make it faster, by a third each.
    config = SessionConfig().with_target_partitions(THREADS).set("datafusion.execution.parquet.pushdown_filters", "true")
    options = ParquetWriterOptions(
        compression="zstd(1)", dictionary_enabled=False, statistics_enabled="chunk", write_batch_size=8192
    )
    context = SessionContext(config, runtime)
    places = [("epoch", pyarrow.int32()), ("partition", pyarrow.int32())]
    context.register_parquet("landed", landed(arguments.lake), table_partition_cols=places)
    columns, groups = ", ".join(COLUMNS), ", ".join(["customer_id", *LABELS, "to_unixtime(accepted_at) / 3600"])
    hours = "SELECT id_hour, count(*) AS events FROM landed WHERE quarantine_reason IS NULL GROUP BY id_hour"
    for first, next in bites(zip(*context.sql(hours).to_pydict().values())):
        # `to_unixtime` is in whole seconds; a sum of BIGINT wraps here, which these do not come near. Joins keep their
        # left side in memory.
        query = f"""
            WITH events AS (
                SELECT * FROM landed WHERE quarantine_reason IS NULL AND id_hour >= '{first}' AND id_hour < '{next}'),
            again AS (SELECT request_id AS id FROM events GROUP BY request_id HAVING count(*) > 1),
            ranked AS (
                SELECT {columns}, row_number() OVER (PARTITION BY {KEY} ORDER BY {RANK}) AS rank
                FROM again RIGHT SEMI JOIN events ON request_id = id),
            counted AS (
                SELECT {columns} FROM again RIGHT ANTI JOIN events ON request_id = id
                UNION ALL SELECT {columns} FROM ranked WHERE rank = 1)
            SELECT {sums("to_unixtime(accepted_at) / 3600", "sum({})")} FROM counted GROUP BY {groups}"""
        context.sql(query).write_parquet_with_options(f"{arguments.result}/{first}", options)


# --- Polars ---------------------------------------------------------------------------------------------------------


def by_polars(arguments):
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    import polars as pl

    landed_events = pl.scan_parquet(f"{landed(arguments.lake)}/**/*.parquet", hive_partitioning=True)
    readable = landed_events.filter(pl.col("quarantine_reason").is_null())
    hours = readable.group_by("id_hour").len().collect(engine="streaming").rows()
    rank = [pl.col("outcome") != "done", "accepted_at", "epoch", "partition", "offset"]
    hour = (pl.col("accepted_at").dt.timestamp("ms") // 3_600_000).alias("billing_hour")
    for first, next in bites(hours):
        events = readable.filter(pl.col("id_hour") >= first, pl.col("id_hour") < next)
        again = events.group_by("request_id").len().filter(pl.col("len") > 1).select("request_id")
        alone = events.join(again, on="request_id", how="anti").select(COLUMNS)
        winners = events.join(again, on="request_id", how="semi").sort(rank)
        winners = winners.unique(KEY.split(", "), keep="first", maintain_order=True).select(COLUMNS)
        groups = pl.concat([alone, winners]).with_columns(hour).group_by(GROUP)
        added = groups.agg(pl.len().cast(pl.Int64).alias("conversions"), *[pl.col(name).sum() for name in QUANTITIES])
        file = f"{arguments.result}/{first}.parquet"
        added.sink_parquet(file, compression="zstd", compression_level=1, engine="streaming")


# --- What they say ---------------------------------------------------------------------------------------------------

def compare(arguments):
    """Bite by bite, every group's sums in the rollups less those of the peer: all must be 0."""
    connection = connect(arguments)
    # Beside each rollup lies the evidence of its repeats.
    rollups = [path for path in Path(arguments.lake, "rollups").glob("*/*.parquet") if ".repeats." not in path.name]
    results = {path.name.removesuffix(".parquet"): path for path in Path(arguments.result).iterdir()}
    added = ["conversions", *QUANTITIES]
    groups, values = ", ".join(["customer_id", *LABELS]), ", ".join(f"{name}::BIGINT AS {name}" for name in added)
    differs = " OR ".join(f"sum(side * {name}) <> 0" for name in added)
    used, answer = 0, {"rows": 0, "conversions": 0, "differing": 0, "example": None}
    for first, next in up_to_the_next(sorted(results)):
        ours = [str(path) for path in rollups if first <= path.parent.name < next]
        theirs = f"{results[first]}/*" if results[first].is_dir() else results[first]
        rows, conversions, differing, example = connection.execute(f"""
            SELECT count(*), sum(theirs)::BIGINT, count(*) FILTER (differs),
                any_value(concat_ws(' ', make_timestamp(hour * 3600000000), {groups})) FILTER (differs)
            FROM (
                SELECT hour, {groups}, sum(conversions) FILTER (side = -1) AS theirs, {differs} AS differs FROM (
                    SELECT 1 AS side, epoch_ms(billing_hour) // 3600000 AS hour, {groups}, {values} FROM read_parquet({ours})
                    UNION ALL
                    SELECT -1, billing_hour, {groups}, {values} FROM read_parquet('{theirs}'))
                GROUP BY hour, {groups})""").fetchone()
        used += len(ours)
        answer["rows"] += rows
        answer["conversions"] += conversions or 0
        answer["differing"] += differing
        answer["example"] = answer["example"] or example
    if used < len(rollups):
        raise SystemExit("there are rollups of earlier id-hours than the peer has")
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
    parser.add_argument("who", metavar="CONTESTANT", choices=sorted({*WHO, *DUCKDB_FORMS}))
    parser.add_argument("lake")
    parser.add_argument("result")
    parser.add_argument("--memory-mib", type=int, required=True)
    parser.add_argument("--spill", required=True)
    arguments = parser.parse_args()
    WHO[arguments.who.split("-")[0]](arguments)
