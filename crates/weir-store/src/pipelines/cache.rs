//! States of pipelines, kept between transitions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use weir_api::id::{JobId, PipelineId};
use weir_engine::PipelineState;

use super::state::Inserted;

/// How many jobs are kept, over all pipelines.
const JOBS: usize = 100_000;

/// States of pipelines that are likely to change again soon, so that a change of one job of thousands does not
/// read them all.
///
/// A state is kept with the version that its save gave to the pipeline's row. Versions are random: a save that was
/// rolled back, or one by another server, leaves a version in the row that no kept state has.
#[derive(Debug, Default)]
pub struct PipelineCache(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    pipelines: HashMap<PipelineId, Entry>,
    jobs: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    version: i64,
    loaded: Loaded,
    used: u64,
}

/// A pipeline's state with the ids of its jobs.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) state: PipelineState,
    pub(super) ids: Arc<Vec<JobId>>,
}

impl PipelineCache {
    /// Keeps the state of a new pipeline, once the transaction that made it is committed: its first job will be
    /// taken soon.
    pub fn keep(&self, inserted: &Inserted, state: PipelineState) {
        let loaded = Loaded { state, ids: Arc::new(inserted.jobs.clone()) };
        self.put(inserted.id, inserted.version, loaded);
    }

    /// Takes a state out, if it has this version.
    pub(super) fn take(&self, id: PipelineId, version: i64) -> Option<Loaded> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kept.pipelines.remove(&id)?;
        kept.jobs -= entry.loaded.ids.len();
        (entry.version == version).then_some(entry.loaded)
    }

    /// Puts a state in; those that were not used for longest make room.
    pub(super) fn put(&self, id: PipelineId, version: i64, loaded: Loaded) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        kept.jobs += loaded.ids.len();
        let entry = Entry { version, loaded, used: kept.clock };
        if let Some(old) = kept.pipelines.insert(id, entry) {
            kept.jobs -= old.loaded.ids.len();
        }
        while kept.jobs > JOBS {
            let oldest = kept.pipelines.iter().min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id);
            let Some(entry) = oldest.and_then(|id| kept.pipelines.remove(&id)) else { break };
            kept.jobs -= entry.loaded.ids.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_api::JobStatus;
    use weir_engine::Jobs;

    use super::*;

    fn loaded(jobs: usize) -> Loaded {
        let state = PipelineState {
            status: JobStatus::Created,
            stages: Vec::new(),
            jobs: Jobs::default(),
            cancel_on_job_failure: false,
            started_at: None,
            finished_at: None,
            duration: None,
        };
        Loaded { state, ids: Arc::new(vec![JobId(1); jobs]) }
    }

    #[test]
    fn a_state_comes_back_only_for_its_version_and_once() {
        let cache = PipelineCache::default();
        cache.put(PipelineId(1), 7, loaded(3));
        assert!(cache.take(PipelineId(2), 7).is_none());
        assert!(cache.take(PipelineId(1), 7).is_some());
        assert!(cache.take(PipelineId(1), 7).is_none());
        cache.put(PipelineId(1), 7, loaded(3));
        assert!(cache.take(PipelineId(1), 8).is_none());
    }

    #[test]
    fn the_state_that_was_not_used_for_longest_makes_room() {
        let cache = PipelineCache::default();
        cache.put(PipelineId(1), 1, loaded(JOBS / 2));
        cache.put(PipelineId(2), 1, loaded(JOBS / 2));
        let first = cache.take(PipelineId(1), 1).unwrap();
        cache.put(PipelineId(1), 1, first);
        cache.put(PipelineId(3), 1, loaded(1));
        assert!(cache.take(PipelineId(2), 1).is_none());
        assert!(cache.take(PipelineId(1), 1).is_some());
        assert!(cache.take(PipelineId(3), 1).is_some());
    }
}
