//! What `/-/metrics` tells Prometheus.

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use weir_api::JobStatus;

/// Counters, gauges and histograms of one server.
pub struct Metrics {
    registry: Registry,
    /// Requests answered, by method and status.
    pub requests: Family<RequestLabels, Counter>,
    /// Seconds from request to the head of the answer.
    pub request_seconds: Histogram,
    /// Pipelines created.
    pub pipelines: Counter,
    /// Pipelines that ended, by status.
    pub pipelines_finished: Family<StatusLabel, Counter>,
    /// Jobs that ended, by status.
    pub jobs_finished: Family<StatusLabel, Counter>,
    /// Seconds that jobs waited for a runner.
    pub queue_seconds: Histogram,
    /// Runners that wait for a job right now.
    pub waiting_runners: Gauge,
    /// Bytes of traces received.
    pub trace_bytes: Counter,
}

/// Labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// `GET`, …
    pub method: Method,
    /// 200, …
    pub status: u16,
}

/// An HTTP method as a label; unknown ones share one value, so that clients cannot grow the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Other,
}

impl From<&axum::http::Method> for Method {
    fn from(method: &axum::http::Method) -> Self {
        match method.as_str() {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            _ => Self::Other,
        }
    }
}

/// A status as a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StatusLabel {
    status: &'static str,
}

impl From<JobStatus> for StatusLabel {
    fn from(status: JobStatus) -> Self {
        Self { status: status.as_str() }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("weir");
        let seconds = || Histogram::new(exponential_buckets(0.0005, 2.0, 18));
        let metrics = Self {
            requests: Family::default(),
            request_seconds: seconds(),
            pipelines: Counter::default(),
            pipelines_finished: Family::default(),
            jobs_finished: Family::default(),
            queue_seconds: seconds(),
            waiting_runners: Gauge::default(),
            trace_bytes: Counter::default(),
            registry: Registry::default(),
        };
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        registry.register(
            "http_request_seconds",
            "Time from request to the head of the answer",
            metrics.request_seconds.clone(),
        );
        registry.register("pipelines_created", "Pipelines created", metrics.pipelines.clone());
        registry.register("pipelines_finished", "Pipelines that ended", metrics.pipelines_finished.clone());
        registry.register("jobs_finished", "Jobs that ended", metrics.jobs_finished.clone());
        registry.register(
            "job_queue_seconds",
            "Time that jobs waited for a runner",
            metrics.queue_seconds.clone(),
        );
        registry.register(
            "waiting_runners",
            "Runners that wait for a job right now",
            metrics.waiting_runners.clone(),
        );
        registry.register("trace_bytes", "Bytes of traces received", metrics.trace_bytes.clone());
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// The text that Prometheus reads.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
