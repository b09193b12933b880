//! /healthz says that the process is alive; /readyz that it does its work, or what keeps it from doing so; /metrics what
//! it has done.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::metrics::{self, Metrics};
use crate::start::Shutdown;

/// What keeps this process from its work, by part. Cheap to clone, shared by all parts.
#[derive(Debug, Clone, Default)]
pub struct Health {
    problems: Arc<Mutex<BTreeMap<String, String>>>,
    metrics: Metrics,
}

#[derive(Debug, Serialize)]
struct Report {
    ready: bool,
    problems: BTreeMap<String, String>,
}

impl Health {
    /// `part` can't do its work, and why.
    pub fn problem(&self, part: impl Into<String>, why: impl Into<String>) {
        self.locked().insert(part.into(), why.into());
    }

    /// `part` does its work.
    pub fn well(&self, part: &str) {
        self.locked().remove(part);
    }

    pub fn problems(&self) -> BTreeMap<String, String> {
        self.locked().clone()
    }

    /// What /metrics serves.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves until shutdown. Answers the address in use, which tells the port when 0 was asked for.
    pub async fn serve(&self, address: SocketAddr, shutdown: Shutdown) -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|e| anyhow::anyhow!("cannot serve health on {address}: {e}; choose another --health ADDR:PORT"))?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .route("/metrics", get(counted))
            .with_state(self.clone());
        tokio::spawn(async move {
            let until = async move { shutdown.requested().await };
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(until).await {
                tracing::error!(%error, "health server ended");
            }
        });
        tracing::info!(%address, "serving health");
        Ok(address)
    }
}

async fn ready(State(health): State<Health>) -> (StatusCode, Json<Report>) {
    let problems = health.problems();
    let ready = problems.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Report { ready, problems }))
}

async fn counted(State(health): State<Health>) -> impl IntoResponse {
    let text = health.metrics.text().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR);
    text.map(|text| ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text))
}
