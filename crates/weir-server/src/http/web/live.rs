//! What changes on an open page, as server-sent events.
//!
//! A stream ends on its own now and then; browsers come back, and are then asked again who they are.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::json;
use weir_api::id::{JobId, PipelineId};

use super::ansi::{Converter, Item};
use super::page::{self, Visit};
use super::{jobs, pipelines};
use crate::app::access::Access;
use crate::auth::Action;
use crate::bus::{Listener, Wake};
use crate::error::Result;

/// How long rights that were looked at once are relied on.
const LIFETIME: Duration = Duration::from_mins(2);
/// The least time between two looks: a busy trace wakes often.
const PAUSE: Duration = Duration::from_millis(250);

/// `GET /:project/-/pipelines/:id/events`: `swap` with the part of the page, at each change; `end`.
pub(super) async fn pipeline(visit: &Visit, path: &str, id: PipelineId) -> Result<Response> {
    let access = visit.project(path, Action::ReadPipelines).await?;
    let listener = visit.ctx.bus.listen();
    let watched = Watched::Pipeline { project: access.project.id, id };
    let (graph, _) = pipelines::graph(visit, &access, id).await?;
    Ok(answer(Watch::new(visit.clone(), access, listener, watched, graph)))
}

/// `GET /:project/-/jobs/:id/events?start=&lines=&items=`: `swap` with the header, `trace` with the items after those
/// that the page has; `end`.
pub(super) async fn job(visit: &Visit, path: &str, id: JobId) -> Result<Response> {
    let access = visit.project(path, Action::ReadJobs).await?;
    let listener = visit.ctx.bus.listen();
    let header = jobs::header(visit, &access, id).await?.html;
    let number = |name: &str| visit.params.text(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let last = visit.headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let trace = Trace {
        converter: Converter::new(number("lines").saturating_add(1)),
        position: number("start"),
        items: 0,
        known: last.unwrap_or(number("items")),
        unfinished: Vec::new(),
    };
    let watched = Watched::Job { id, trace: Box::new(trace) };
    Ok(answer(Watch::new(visit.clone(), access, listener, watched, header)))
}

fn answer(watch: Watch) -> Response {
    let events = stream::unfold(watch, async |mut watch| {
        while watch.ready.is_empty() && !watch.over {
            watch.look().await;
        }
        let event = watch.ready.pop_front()?;
        Some((Ok::<_, Infallible>(event), watch))
    });
    let mut response = Sse::new(events.boxed()).keep_alive(KeepAlive::default()).into_response();
    for (name, value) in &page::headers() {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

/// Tells the browser not to come back. Browsers pass over an event without data.
fn end() -> Event {
    Event::default().event("end").data("over")
}

enum Watched {
    Pipeline { project: weir_api::id::ProjectId, id: PipelineId },
    Job { id: JobId, trace: Box<Trace> },
}

/// A trace as far as it was sent.
struct Trace {
    converter: Converter,
    /// Bytes that the converter has seen, and those before where it began.
    position: u64,
    /// Items that the converter made.
    items: u64,
    /// Items that the page has.
    known: u64,
    unfinished: Vec<Item>,
}

struct Watch {
    visit: Visit,
    access: Access,
    listener: Listener,
    watched: Watched,
    /// The changing part as it was sent last.
    part: String,
    ready: VecDeque<Event>,
    until: Instant,
    first: bool,
    over: bool,
}

impl Watch {
    fn new(visit: Visit, access: Access, listener: Listener, watched: Watched, part: String) -> Self {
        // The page was made a moment before the stream began, so the part is sent once in any case.
        let ready = VecDeque::from([Event::default().event("swap").data(&part)]);
        let until = Instant::now() + LIFETIME;
        Self { visit, access, listener, watched, part, ready, until, first: true, over: false }
    }

    /// Waits for a change and puts it among the events.
    async fn look(&mut self) {
        if !std::mem::take(&mut self.first) {
            tokio::time::sleep(PAUSE).await;
            let ctx = &self.visit.ctx;
            let wanted = |wake: Wake| match &self.watched {
                Watched::Pipeline { project, id } => wake == Wake::Pipeline(*project, *id),
                Watched::Job { id, .. } => wake == Wake::Job(*id),
            };
            self.listener.wait_for(|wake| wanted(wake) || ctx.is_draining()).await;
        }
        self.over = self.visit.ctx.is_draining() || Instant::now() > self.until;
        if self.over {
            return;
        }
        if let Err(error) = self.read().await {
            // What was watched may be gone; the page tells when it is loaded again.
            tracing::debug!(%error, "a page's events end");
            self.ready.push_back(end());
            self.over = true;
        }
    }

    async fn read(&mut self) -> Result<()> {
        let (part, active) = match &mut self.watched {
            Watched::Pipeline { id, .. } => pipelines::graph(&self.visit, &self.access, *id).await?,
            Watched::Job { id, trace } => {
                // The status first: what is written before the job ends is then read below.
                let header = jobs::header(&self.visit, &self.access, *id).await?;
                self.ready.extend(trace.read(&self.visit, &self.access, *id, header.active).await?);
                (header.html, header.active)
            }
        };
        if part != self.part {
            self.ready.push_back(Event::default().event("swap").data(&part));
            self.part = part;
        }
        if !active {
            self.ready.push_back(end());
            self.over = true;
        }
        Ok(())
    }
}

impl Trace {
    /// What is new in the trace.
    async fn read(
        &mut self,
        visit: &Visit,
        access: &Access,
        id: JobId,
        active: bool,
    ) -> Result<Option<Event>> {
        if !access.standing.may(Action::ReadTrace) {
            return Ok(None);
        }
        let mut body = jobs::read(visit, access, id, self.position).await?.body;
        let mut items = Vec::new();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| crate::error::Error::Internal(Box::new(error)))?;
            self.position += piece.len() as u64;
            self.converter.feed(&piece, &mut items);
        }
        if !active {
            self.converter.end(&mut items);
        }
        let before = self.items;
        self.items += items.len() as u64;
        let unfinished = if active { self.converter.unfinished() } else { Vec::new() };
        let new = usize::try_from(self.known.saturating_sub(before)).unwrap_or(usize::MAX);
        let new = items.get(new..).unwrap_or_default();
        if new.is_empty() && unfinished == self.unfinished {
            return Ok(None);
        }
        self.known = self.known.max(self.items);
        let list = |items: &[Item]| items.iter().map(|it| json!([it.kind(), it.html()])).collect::<Vec<_>>();
        let data = json!({ "items": list(new), "unfinished": list(&unfinished) }).to_string();
        self.unfinished = unfinished;
        Ok(Some(Event::default().event("trace").id(self.items.to_string()).data(data)))
    }
}
