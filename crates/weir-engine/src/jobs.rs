//! The rows of a pipeline with what follows from them, kept up with every change.
//!
//! A decision about one job asks what other jobs have come to. So that one event costs what depends on it and not
//! what the pipeline holds, the answers are kept: who needs whom, which statuses a job's needs and a stage's jobs
//! have, which jobs wait, and which may have to be decided. All of it can be worked out from the rows
//! ([`Index::of`]) and is neither stored nor compared.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::ops::Deref;

use weir_api::JobStatus;
use weir_api::JobStatus::{Created, Skipped};

use crate::state::{JobIndex, JobState};
use crate::status::{self, StatusCounts, StatusSet};

/// Every row of a pipeline, oldest first: a slice to all but the engine, which alone can change it.
#[derive(Clone, Default)]
pub struct Jobs {
    rows: Vec<JobState>,
    index: Index,
    revision: u64,
}

impl Jobs {
    /// How many changes there have been: a number that stays the same tells that the rows have, too.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Changes a row. There is no other way, so that the index holds.
    pub(crate) fn change(&mut self, job: JobIndex, change: impl FnOnce(&mut JobState)) {
        self.revision += 1;
        let row = &mut self.rows[place(job)];
        let before = Counted::of(row);
        change(row);
        let after = Counted::of(row);
        if before != after {
            self.index.recount(&self.rows, job, before, after);
        }
    }

    /// Adds a row, the next attempt of a job.
    pub(crate) fn push(&mut self, row: JobState) -> JobIndex {
        self.revision += 1;
        let job = JobIndex(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
        let (original, counted) = (row.retry_of, Counted::of(&row));
        self.rows.push(row);
        match original.and_then(|original| self.index.names.get(place(original))) {
            // It needs what its earlier attempts do.
            Some(&name) => {
                self.index.names.push(name);
                self.index.recount(&self.rows, job, None, counted);
            }
            None => self.index = Index::of(&self.rows),
        }
        job
    }

    /// The newest attempts of the jobs that a job needs, as far as there are any.
    pub(crate) fn needed_by(&self, job: JobIndex) -> impl Iterator<Item = JobIndex> {
        let name = self.index.names[place(job)];
        self.index.needs.get(name as usize).iter().filter_map(|name| self.index.newest[*name as usize])
    }

    /// The newest attempts of the jobs that need a job.
    pub(crate) fn dependents_of(&self, job: JobIndex) -> impl Iterator<Item = JobIndex> {
        let name = self.index.names[place(job)];
        self.index.dependents.get(name as usize).iter().filter_map(|name| self.index.newest[*name as usize])
    }

    /// What the jobs that a job needs have come to together.
    pub(crate) fn status_of_needs(&self, job: JobIndex) -> JobStatus {
        self.index.needed[self.index.names[place(job)] as usize].set().composite_of_needs()
    }

    /// The statuses of a stage's jobs.
    pub(crate) fn statuses_of_stage(&self, stage: u32) -> StatusSet {
        self.index.stages.get(stage as usize).map_or_else(StatusSet::default, |stage| stage.counts.set())
    }

    /// The created jobs of a stage that wait for the stages before it.
    pub(crate) fn waiting_in_stage(&self, stage: u32) -> impl Iterator<Item = JobIndex> {
        self.index.stages.get(stage as usize).into_iter().flat_map(|stage| stage.waiting.iter().copied())
    }

    /// The skipped jobs of the stages from `stage` on, external ones left out: nothing here starts them again.
    pub(crate) fn skipped_from(&self, stage: u32) -> impl Iterator<Item = JobIndex> {
        self.index.stages.iter().skip(stage as usize).flat_map(|stage| stage.skipped.iter().copied())
    }

    /// The next of the created jobs of the stages up to `stage` whose needs have come to an end: in order of
    /// stages, and each after those that it needs.
    pub(crate) fn next_decidable(&self, stage: u32) -> Option<JobIndex> {
        self.index.decidable.first().filter(|(of, _)| *of <= stage).map(|(_, job)| *job)
    }
}

impl Deref for Jobs {
    type Target = [JobState];

    fn deref(&self) -> &[JobState] {
        &self.rows
    }
}

impl From<Vec<JobState>> for Jobs {
    fn from(rows: Vec<JobState>) -> Self {
        Self { index: Index::of(&rows), rows, revision: 0 }
    }
}

impl PartialEq for Jobs {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.fmt(f)
    }
}

const fn place(job: JobIndex) -> usize {
    job.0 as usize
}

/// How a row counts. Only newest attempts do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    status: JobStatus,
    allow_failure: bool,
}

impl Counted {
    fn of(row: &JobState) -> Option<Self> {
        (!row.retried).then_some(Self { status: row.status, allow_failure: row.allow_failure })
    }
}

/// What is kept. Rows of one name are attempts of one job, so needs are between names, which are numbered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Index {
    /// For each row, its name.
    names: Vec<u32>,
    /// For each name, its newest attempt; none if the pipeline has no such job.
    newest: Vec<Option<JobIndex>>,
    /// For each name, the names that its job needs.
    needs: Lists,
    /// For each name, the names of the jobs that need it.
    dependents: Lists,
    /// For each name, the statuses of what its job needs.
    needed: Vec<StatusCounts>,
    stages: Vec<Stage>,
    /// Created jobs, with their stages, whose needs have come to an end.
    decidable: BTreeSet<(u32, JobIndex)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Stage {
    counts: StatusCounts,
    /// Created jobs that wait for the stages before.
    waiting: BTreeSet<JobIndex>,
    skipped: BTreeSet<JobIndex>,
}

impl Index {
    fn of(rows: &[JobState]) -> Self {
        let mut numbers: HashMap<&str, u32> = HashMap::with_capacity(rows.len());
        let mut number = |name| {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            *numbers.entry(name).or_insert(next)
        };
        let names: Vec<u32> = rows.iter().map(|row| number(row.name.as_str())).collect();
        let mut needs = Vec::new();
        let mut known = 0;
        for (row, &name) in rows.iter().zip(&names) {
            // Later attempts need what the first one does.
            if name == known {
                known += 1;
                needs.extend(row.needs.iter().flatten().map(|needed| (name, number(needed.as_str()))));
            }
        }
        let count = numbers.len();
        let mut this = Self {
            names,
            newest: vec![None; count],
            dependents: Lists::of(count, needs.iter().map(|&(name, needed)| (needed, name))),
            needs: Lists::of(count, needs.iter().copied()),
            needed: vec![StatusCounts::default(); count],
            stages: Vec::new(),
            decidable: BTreeSet::new(),
        };
        for (job, row) in (0..).map(JobIndex).zip(rows) {
            this.recount(rows, job, None, Counted::of(row));
        }
        this
    }

    /// A row counts otherwise than before.
    fn recount(&mut self, rows: &[JobState], job: JobIndex, before: Option<Counted>, after: Option<Counted>) {
        let row = &rows[place(job)];
        let name = self.names[place(job)] as usize;
        let newest = &mut self.newest[name];
        if after.is_some() {
            *newest = (*newest).max(Some(job));
        } else if *newest == Some(job) {
            *newest = None;
        }

        let stage = row.stage as usize;
        if self.stages.len() <= stage {
            self.stages.resize_with(stage + 1, Stage::default);
        }
        let stage = &mut self.stages[stage];
        exchange(&mut stage.counts, before, after);
        let is = |status| after.is_some_and(|after| after.status == status);
        keep(&mut stage.skipped, job, is(Skipped) && !row.is_external());
        if row.needs.is_none() {
            keep(&mut stage.waiting, job, is(Created));
        } else {
            let decidable = is(Created) && have_ended(&self.needed[name]);
            keep(&mut self.decidable, (row.stage, job), decidable);
        }

        for dependent in self.dependents.get(name) {
            let needed = &mut self.needed[*dependent as usize];
            let ended = have_ended(needed);
            exchange(needed, before, after);
            if ended != have_ended(needed)
                && let Some(dependent) = self.newest[*dependent as usize]
            {
                let row = &rows[place(dependent)];
                keep(&mut self.decidable, (row.stage, dependent), !ended && row.status == Created);
            }
        }
    }
}

/// Whether the needs that have these statuses let their job be decided.
fn have_ended(needs: &StatusCounts) -> bool {
    status::is_completed(needs.set().composite_of_needs())
}

fn exchange(counts: &mut StatusCounts, before: Option<Counted>, after: Option<Counted>) {
    if let Some(before) = before {
        counts.remove(before.status, before.allow_failure);
    }
    if let Some(after) = after {
        counts.add(after.status, after.allow_failure);
    }
}

fn keep<T: Ord>(set: &mut BTreeSet<T>, item: T, whether: bool) {
    if whether {
        set.insert(item);
    } else {
        set.remove(&item);
    }
}

/// A list of numbers for each number, in two allocations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Lists {
    /// Where each list ends; it begins where the one before ends.
    ends: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    /// The lists of the numbers below `count`, from pairs of a number and an item.
    fn of(count: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut ends = vec![0; count];
        for (number, _) in pairs.clone() {
            ends[number as usize] += 1;
        }
        let mut total = 0;
        for end in &mut ends {
            // Where the list begins, for now: it moves with each item.
            (*end, total) = (total, total + *end);
        }
        let mut items = vec![0; total as usize];
        for (number, item) in pairs {
            let end = &mut ends[number as usize];
            items[*end as usize] = item;
            *end += 1;
        }
        Self { ends, items }
    }

    fn get(&self, number: usize) -> &[u32] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.items[start as usize..self.ends[number] as usize]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index as Any;
    use weir_api::{FailureReason, Timestamp};
    use weir_compiler::plan::When;

    use super::*;
    use crate::event::{Event, Outcome};
    use crate::state::{JobKind, PipelineState, StageState};

    const STAGES: u32 = 4;

    #[test]
    fn lists_hold_the_items_of_their_numbers_in_order() {
        let lists = Lists::of(4, [(2, 7), (0, 5), (2, 6), (3, 1)].into_iter());
        assert_eq!([0, 1, 2, 3].map(|number| lists.get(number)), [&[5][..], &[], &[7, 6], &[1]]);
        assert_eq!(Lists::of(0, std::iter::empty()), Lists::default());
    }

    /// Any graph will do, circles and needs of later stages included.
    fn any_row() -> impl Strategy<Value = JobState> {
        let when = prop::sample::select(vec![
            When::OnSuccess,
            When::OnSuccess,
            When::OnFailure,
            When::Always,
            When::Manual,
            When::Delayed,
        ]);
        let needs = prop::option::of(prop::collection::vec(0..14_u32, 0..4));
        (0..STAGES, when, any::<bool>(), any::<bool>(), needs, prop::bool::weighted(0.2)).prop_map(
            |(stage, when, allow_failure, flag, needs, grouped)| JobState {
                name: String::new(),
                stage,
                kind: if flag && grouped { JobKind::Bridge } else { JobKind::Build },
                status: Created,
                retried: false,
                retry_of: None,
                when,
                start_in: flag.then_some(60),
                allow_failure,
                allow_failure_exit_codes: vec![3],
                needs: needs.map(|needs| needs.iter().map(u32::to_string).collect()),
                retry: None,
                interruptible: flag,
                resource_group: grouped.then(|| "group".to_owned()),
                environment: None,
                enqueue_immediately: false,
                cancel_gracefully: false,
                failure_reason: None,
                exit_code: None,
                timeout: None,
                scheduled_at: None,
                created_at: Timestamp::from_micros(0),
                queued_at: None,
                started_at: None,
                finished_at: None,
                updated_at: Timestamp::from_micros(0),
                erased_at: None,
            },
        )
    }

    fn any_state() -> impl Strategy<Value = PipelineState> {
        prop::collection::vec(any_row(), 1..12).prop_map(|mut rows| {
            for (number, row) in rows.iter_mut().enumerate() {
                row.name = number.to_string();
            }
            let stage = |number: u32| StageState { name: number.to_string(), status: Created };
            PipelineState {
                status: Created,
                stages: (0..STAGES).map(stage).collect(),
                jobs: rows.into(),
                cancel_on_job_failure: false,
                started_at: None,
                finished_at: None,
                duration: None,
            }
        })
    }

    fn event(kind: u8, job: JobIndex) -> Event {
        let failed = |code| Outcome::Failed { reason: FailureReason::ScriptFailure, exit_code: Some(code) };
        match kind {
            0..=3 => Event::Picked { job, timeout: 60, cancel_gracefully: kind == 0 },
            4..=7 => Event::Finished { job, outcome: Outcome::Success },
            8..=9 => Event::Finished { job, outcome: failed(1) },
            10 => Event::Finished { job, outcome: failed(3) },
            11 => Event::Cancel { job, force: false },
            12 => Event::Cancel { job, force: true },
            13 => Event::CancelInterruptible,
            14..=15 => Event::Retry { job },
            16 => Event::RetryPipeline,
            17..=18 => Event::Play { job },
            19 => Event::Enqueue { job },
            20 => Event::ResourceGranted { job },
            21 => Event::DownstreamRestarted { job },
            _ => Event::CancelPipeline { cascade: false },
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_the_rows_say(
            mut state in any_state(),
            events in prop::collection::vec((any::<Any>(), 0..23_u8), 0..60),
        ) {
            let now = Timestamp::from_micros(0);
            prop_assert!(crate::apply(&mut state, Event::Created, now).is_ok());
            for (job, kind) in events {
                let job = JobIndex(u32::try_from(job.index(state.jobs.len())).unwrap_or(0));
                let (before, revision) = (state.clone(), state.jobs.revision());
                let applied = crate::apply(&mut state, event(kind, job), now);
                prop_assert_eq!(&state.jobs.index, &Index::of(&state.jobs));
                if applied.is_err() {
                    prop_assert_eq!(state.jobs.revision(), revision);
                }
                if state.jobs.revision() == revision {
                    prop_assert_eq!(&state, &before);
                }
            }
        }
    }
}
