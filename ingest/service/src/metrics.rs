//! What a process counts, for Prometheus: OpenMetrics text at /metrics, beside the health endpoints.
//!
//! Source: the OpenMetrics specification, version 1.0.0.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text;
use prometheus_client::registry::{Metric, Registry};

pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All that is counted, each name after `pixtoll_`. Cheap to clone, shared by all parts.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Registry::with_prefix("pixtoll"))))
    }
}

impl Metrics {
    /// Serves a metric from now on. `help` is one sentence without its full stop; a counter's name goes without its
    /// `_total`. Metrics are handles: the caller counts on with a clone.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).register(name, help, metric);
    }

    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(out)
    }
}
