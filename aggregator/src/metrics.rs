//! What the aggregator counts. Each field is a handle; counting is an atomic.

use contract::footer::SegmentFooter;
use log::Partition;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    topic: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct At {
    topic: &'static str,
    partition: i32,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    lag: Family<At, Gauge>,
    rows: Family<Of, Counter>,
    bytes: Family<Of, Counter>,
    segments: Family<Of, Counter>,
    quarantined: Family<Of, Counter>,
    /// Partitions that are stopped at.
    pub(crate) holes: Gauge,
    pub(crate) pending_bytes: Gauge,
    pub(crate) partitions: Gauge,
    /// Segments lost to another writer.
    pub(crate) lost: Counter,
    pub(crate) retries: Counter,
    /// 1 while nothing can be landed.
    pub(crate) paused: Gauge,
}

impl Metrics {
    pub(crate) fn new(registry: &service::Metrics) -> Self {
        let metrics = Self::default();
        let m = metrics.clone();
        registry.register("lag_records", "Records of an owned partition that are not read yet", m.lag);
        registry.register("landed_rows", "Rows landed, quarantined ones among them", m.rows);
        registry.register("landed_bytes", "Bytes of the segments landed", m.bytes);
        registry.register("landed_segments", "Segments landed", m.segments);
        registry.register("quarantined_rows", "Rows landed of records that can't be read", m.quarantined);
        registry.register("holes", "Owned partitions that are stopped at until an operator decides", m.holes);
        registry.register("pending_bytes", "Memory held by records that are not landed yet, roughly", m.pending_bytes);
        registry.register("owned_partitions", "Partitions that this instance lands", m.partitions);
        registry.register("lost_segments", "Segments that another writer had put first", m.lost);
        registry.register(
            "store_retries",
            "Landings tried again after trouble with the store or the broker",
            m.retries,
        );
        registry.register("landing_paused", "1 while trouble keeps all partitions from being landed", m.paused);
        metrics
    }

    pub(crate) fn landed(&self, at: Partition, footer: &SegmentFooter, bytes: usize) {
        let of = Of { topic: at.topic.name() };
        self.rows.get_or_create(&of).inc_by(footer.rows);
        self.quarantined.get_or_create(&of).inc_by(footer.quarantined);
        self.bytes.get_or_create(&of).inc_by(bytes as u64);
        self.segments.get_or_create(&of).inc();
    }

    pub(crate) fn set_lag(&self, at: Partition, records: i64) {
        self.lag.get_or_create(&At { topic: at.topic.name(), partition: at.partition }).set(records);
    }

    /// The partition is another's.
    pub(crate) fn forget_lag(&self, at: Partition) {
        self.lag.remove(&At { topic: at.topic.name(), partition: at.partition });
    }
}
