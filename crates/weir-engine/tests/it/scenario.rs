//! A short way to write plans, events and the states that they lead to.

use weir_api::{FailureReason, JobStatus, Timestamp};
use weir_compiler::Plan;
use weir_compiler::plan::{
    Action, AllowFailure, AutoCancel, Dependencies, Job, Need, Retry, RetryWhen, Scheduling, Trigger, When,
};
use weir_engine::{Changes, Event, JobIndex, JobState, Outcome, PipelineState, Refused, apply, create};

/// A job of the first stage that runs on success.
pub(crate) fn job(name: &str) -> Job {
    Job {
        name: name.to_owned(),
        stage: 0,
        action: Action::Run(Box::default()),
        when: When::OnSuccess,
        start_in: None,
        allow_failure: AllowFailure::No,
        scheduling: Scheduling::Stage,
        dependencies: Dependencies::Default,
        variables: Vec::new(),
        tags: Vec::new(),
        retry: None,
        timeout: None,
        interruptible: false,
        resource_group: None,
        environment: None,
        parallel: None,
        manual_confirmation: None,
        coverage: None,
    }
}

/// A bridge of the first stage.
pub(crate) fn bridge(name: &str) -> Job {
    Job { action: Action::Trigger(Box::<Trigger>::default()), ..job(name) }
}

/// The keywords of a job, written one after the other.
pub(crate) trait Keywords: Sized {
    fn with(self, change: impl FnOnce(&mut Job)) -> Self;

    fn stage(self, stage: usize) -> Self {
        self.with(|job| job.stage = stage)
    }

    fn when(self, when: When) -> Self {
        self.with(|job| job.when = when)
    }

    /// `when: manual` of the job itself, which allows failure.
    fn manual(self) -> Self {
        self.when(When::Manual).allowed()
    }

    /// `when: manual` with `allow_failure: false`.
    fn blocking(self) -> Self {
        self.when(When::Manual)
    }

    fn delayed(self, start_in: u64) -> Self {
        self.when(When::Delayed).with(|job| job.start_in = Some(start_in))
    }

    fn allowed(self) -> Self {
        self.with(|job| job.allow_failure = AllowFailure::Yes)
    }

    fn allowed_codes(self, codes: &[i32]) -> Self {
        self.with(|job| job.allow_failure = AllowFailure::ExitCodes(codes.to_vec()))
    }

    fn needs(self, names: &[&str]) -> Self {
        let need = |name: &&str| Need { job: (*name).to_owned(), artifacts: true, optional: false };
        self.with(|job| job.scheduling = Scheduling::Needs(names.iter().map(need).collect()))
    }

    fn retry(self, max: u8) -> Self {
        self.with(|job| {
            job.retry = Some(Retry { max, when: vec![RetryWhen::Always], exit_codes: Vec::new() });
        })
    }
}

impl Keywords for Job {
    fn with(mut self, change: impl FnOnce(&mut Job)) -> Self {
        change(&mut self);
        self
    }
}

/// A plan of these jobs; its stages are called s0, s1 and so on.
pub(crate) fn plan(jobs: impl IntoIterator<Item = Job>) -> Plan {
    let jobs: Vec<Job> = jobs.into_iter().collect();
    let stages = jobs.iter().map(|job| job.stage + 1).max().unwrap_or(0);
    Plan { stages: (0..stages).map(|stage| format!("s{stage}")).collect(), jobs, ..Plan::default() }
}

/// A pipeline on its way through a list of events.
pub(crate) struct Scenario {
    pub(crate) state: PipelineState,
    pub(crate) now: Timestamp,
    pub(crate) changes: Changes,
}

impl Scenario {
    /// A pipeline of these jobs, with its first jobs decided.
    pub(crate) fn of(jobs: impl IntoIterator<Item = Job>) -> Self {
        Self::from(&plan(jobs))
    }

    /// The same with `workflow:auto_cancel:on_job_failure: all`.
    pub(crate) fn canceling_on_failure(jobs: impl IntoIterator<Item = Job>) -> Self {
        let auto_cancel = AutoCancel { on_job_failure_all: true, ..AutoCancel::default() };
        Self::from(&Plan { auto_cancel, ..plan(jobs) })
    }

    /// A pipeline of this plan, with its first jobs decided.
    pub(crate) fn from(plan: &Plan) -> Self {
        let now = Timestamp::from_micros(0);
        let mut scenario = Self { state: create(plan, now), now, changes: Changes::default() };
        scenario.apply(Event::Created).unwrap();
        scenario
    }

    /// Time passes.
    pub(crate) fn wait(mut self, secs: i64) -> Self {
        self.now = self.now.plus_secs(secs);
        self
    }

    pub(crate) fn apply(&mut self, event: Event) -> Result<(), Refused> {
        let before = self.state.clone();
        match apply(&mut self.state, event, self.now) {
            Ok(changes) => {
                self.changes = changes;
                Ok(())
            }
            Err(refused) => {
                assert_eq!(self.state, before, "a refused event leaves the state as it was");
                Err(refused)
            }
        }
    }

    /// The newest attempt of a name.
    pub(crate) fn index(&self, name: &str) -> JobIndex {
        let mut rows = self.state.latest().filter(|(_, job)| job.name == name);
        let (index, _) = rows.next().unwrap_or_else(|| panic!("there is no job `{name}`"));
        assert!(rows.next().is_none(), "only one row of `{name}` is the newest");
        index
    }

    pub(crate) fn job(&self, name: &str) -> &JobState {
        self.state.job(self.index(name))
    }

    /// The event of a line such as `drop build script_failure 3`; see [`Scenario::after`].
    pub(crate) fn event(&self, line: &str) -> Event {
        let mut words = line.split(' ');
        let event = words.next().unwrap_or_default();
        let Some(name) = words.next() else {
            return match event {
                "retry" => Event::RetryPipeline,
                "cancel" => Event::CancelPipeline { cascade: true },
                _ => panic!("`{line}` is no event of a pipeline"),
            };
        };
        let job = self.index(name);
        match event {
            "run" => Event::Picked { job, timeout: 3600, cancel_gracefully: false },
            "run-gracefully" => Event::Picked { job, timeout: 3600, cancel_gracefully: true },
            "success" => Event::Finished { job, outcome: Outcome::Success },
            "drop" => {
                let reason = words.next().map_or(FailureReason::UnknownFailure, |text| text.parse().unwrap());
                let exit_code = words.next().map(|text| text.parse().unwrap());
                Event::Finished { job, outcome: Outcome::Failed { reason, exit_code } }
            }
            "alive" => Event::Alive { job },
            "cancel" => Event::Cancel { job, force: false },
            "force-cancel" => Event::Cancel { job, force: true },
            "retry" => Event::Retry { job },
            "play" => Event::Play { job },
            "unschedule" => Event::Unschedule { job },
            "due" => Event::Due { job },
            "erase" => Event::Erase { job },
            "grant" => Event::ResourceGranted { job },
            "enqueue" => Event::Enqueue { job },
            _ => panic!("`{line}` is no event of a job"),
        }
    }

    /// Applies the event of a line.
    pub(crate) fn after(mut self, line: &str) -> Self {
        let event = self.event(line);
        self.apply(event).unwrap_or_else(|refused| panic!("`{line}`: {refused}"));
        self
    }

    /// Applies the event of a line, which is refused for this reason.
    pub(crate) fn refuses(mut self, line: &str, reason: Refused) -> Self {
        let event = self.event(line);
        assert_eq!(self.apply(event), Err(reason), "{line}");
        self
    }

    /// Compares all statuses: `running: success pending` names the pipeline's and, in the order of the plan,
    /// those of the newest attempts.
    #[track_caller]
    pub(crate) fn shows(self, expected: &str) -> Self {
        assert_eq!(self.statuses(), expected);
        self
    }

    /// Compares the statuses of the stages.
    #[track_caller]
    pub(crate) fn stages(self, expected: &str) -> Self {
        let stages: Vec<&str> = self.state.stages.iter().map(|stage| stage.status.as_str()).collect();
        assert_eq!(stages.join(" "), expected);
        self
    }

    fn statuses(&self) -> String {
        let first = |index: JobIndex| {
            let mut index = index;
            while let Some(earlier) = self.state.job(index).retry_of {
                index = earlier;
            }
            index
        };
        let mut latest: Vec<(JobIndex, JobStatus)> =
            self.state.latest().map(|(index, job)| (first(index), job.status)).collect();
        latest.sort_unstable_by_key(|&(index, _)| index);
        let jobs: Vec<&str> = latest.iter().map(|(_, status)| status.as_str()).collect();
        format!("{}: {}", self.state.status, jobs.join(" "))
    }
}
