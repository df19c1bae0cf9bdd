//! What statuses mean: their groups and the composite rule.
//!
//! Sources: `app/models/concerns/ci/has_status.rb`, `lib/gitlab/ci/status/composite.rb`,
//! `app/models/ci/stage.rb`, `app/models/ci/pipeline.rb`.

use weir_api::JobStatus;
use weir_api::JobStatus::{
    Canceled, Canceling, Created, Failed, Manual, Pending, Preparing, Running, Scheduled, Skipped, Success,
    WaitingForCallback, WaitingForResource,
};

/// Nothing more will happen to it by itself: success, failed, canceled or skipped.
pub const fn is_completed(status: JobStatus) -> bool {
    matches!(status, Success | Failed | Canceled | Skipped)
}

/// It ran to an end, or was stopped: success, failed or canceled.
pub const fn is_finished(status: JobStatus) -> bool {
    matches!(status, Success | Failed | Canceled)
}

/// A runner, a resource or a callback is at work or awaited.
pub const fn is_active(status: JobStatus) -> bool {
    matches!(status, Pending | Running | Preparing | WaitingForResource | WaitingForCallback)
}

/// A runner has it: running or canceling.
pub const fn is_executing(status: JobStatus) -> bool {
    matches!(status, Running | Canceling)
}

/// Neither at its end nor waiting for a person or a date.
pub const fn is_alive(status: JobStatus) -> bool {
    is_active(status) || matches!(status, Created | Canceling)
}

/// A person or a date must come first: manual or scheduled.
pub const fn is_blocked(status: JobStatus) -> bool {
    matches!(status, Manual | Scheduled)
}

/// Can be canceled along with its pipeline.
pub const fn is_cancelable(status: JobStatus) -> bool {
    is_active(status) || is_blocked(status) || matches!(status, Created)
}

/// The statuses of some jobs, as far as the composite rule tells them apart.
///
/// The rule depends on *which* symbols occur, never on how often, so a set is one number and the set of many
/// stages is the union of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusSet(u16);

/// What the composite rule tells apart: a status, or that a job may be what it is. A symbol is a bit's number.
type Symbol = u8;

/// A job that failed or was canceled and may.
const WARN: u16 = 1 << 13;
/// A manual job that may be left alone.
const IGNORED: u16 = 1 << 14;
const SYMBOLS: usize = 15;

const fn bit(status: JobStatus) -> u16 {
    1 << status as u16
}

const fn symbol(status: JobStatus, allow_failure: bool) -> Symbol {
    match status {
        Failed | Canceled if allow_failure => 13,
        Manual if allow_failure => 14,
        status => status as Symbol,
    }
}

/// How many jobs have which symbol, so that a set follows the changes of its jobs one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StatusCounts {
    counts: [u32; SYMBOLS],
    set: StatusSet,
}

impl StatusCounts {
    /// The symbols that occur.
    pub(crate) const fn set(&self) -> StatusSet {
        self.set
    }

    /// Adds one job.
    pub(crate) const fn add(&mut self, status: JobStatus, allow_failure: bool) {
        self.counts[symbol(status, allow_failure) as usize] += 1;
        self.set.insert(status, allow_failure);
    }

    /// Takes away one job that was added with just this.
    pub(crate) const fn remove(&mut self, status: JobStatus, allow_failure: bool) {
        let symbol = symbol(status, allow_failure);
        self.counts[symbol as usize] -= 1;
        if self.counts[symbol as usize] == 0 {
            self.set.0 &= !(1 << symbol);
        }
    }
}

impl StatusSet {
    /// Adds one job.
    pub const fn insert(&mut self, status: JobStatus, allow_failure: bool) {
        self.0 |= 1 << symbol(status, allow_failure);
    }

    /// The jobs of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Nothing outside of `mask`; the set is not empty when this is asked.
    const fn only(self, mask: u16) -> bool {
        self.0 & !mask == 0
    }

    const fn contains(self, mask: u16) -> bool {
        self.0 & mask != 0
    }

    /// The status of all jobs of the set together; that of no jobs is success.
    pub const fn composite(self) -> JobStatus {
        let set = self;
        if set.0 == 0 {
            Success
        } else if set.only(bit(Skipped) | IGNORED) {
            Skipped
        } else if set.only(bit(Success) | bit(Skipped) | WARN | IGNORED) {
            Success
        } else if set.only(bit(Created) | WARN | IGNORED) {
            Created
        } else if set.only(bit(Preparing) | WARN | IGNORED) {
            Preparing
        } else if set.only(bit(Canceled) | bit(Success) | bit(Skipped) | WARN | IGNORED) {
            Canceled
        } else if set.only(bit(Pending) | bit(Created) | bit(Skipped) | WARN | IGNORED) {
            Pending
        } else if set.contains(bit(Running) | bit(Pending)) {
            Running
        } else if set.contains(bit(WaitingForResource)) {
            WaitingForResource
        } else if set.contains(bit(WaitingForCallback)) {
            WaitingForCallback
        } else if set.contains(bit(Manual)) {
            Manual
        } else if set.contains(bit(Scheduled)) {
            Scheduled
        } else if set.contains(bit(Preparing)) {
            Preparing
        } else if set.contains(bit(Created)) {
            Running
        } else if set.contains(bit(Canceling)) {
            Canceling
        } else {
            Failed
        }
    }

    /// The status of the jobs that one job needs: a skipped or ignored one counts before all others.
    pub const fn composite_of_needs(self) -> JobStatus {
        if self.contains(bit(Skipped) | IGNORED) { Skipped } else { self.composite() }
    }
}

impl FromIterator<(JobStatus, bool)> for StatusSet {
    fn from_iter<I: IntoIterator<Item = (JobStatus, bool)>>(jobs: I) -> Self {
        let mut set = Self::default();
        for (status, allow_failure) in jobs {
            set.insert(status, allow_failure);
        }
        set
    }
}

/// The status to store on a stage that has `current` when its jobs make up `computed`.
pub(crate) const fn of_stage(current: JobStatus, computed: JobStatus) -> JobStatus {
    match computed {
        Created => current,
        Canceling if matches!(current, Canceling | Canceled) => current,
        computed => computed,
    }
}

/// The status to store on a pipeline that has `current` when its jobs make up `computed`.
pub(crate) const fn of_pipeline(current: JobStatus, computed: JobStatus) -> JobStatus {
    match (computed, current) {
        (Created, _) | (Pending, Running | WaitingForCallback) | (Canceling, Canceled) => current,
        // A pipeline that had ended and goes on was never pending again.
        (Pending, Success | Failed | Canceling | Canceled) => Running,
        (computed, _) => computed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: (JobStatus, bool) = (Failed, true);
    const I: (JobStatus, bool) = (Manual, true);

    fn composite(jobs: &[(JobStatus, bool)]) -> JobStatus {
        jobs.iter().copied().collect::<StatusSet>().composite()
    }

    const fn no(status: JobStatus) -> (JobStatus, bool) {
        (status, false)
    }

    #[test]
    fn the_composite_status_follows_the_first_row_that_matches() {
        for (jobs, expected) in [
            (&[][..], Success),
            (&[I], Skipped),
            (&[no(Skipped), I], Skipped),
            (&[W], Success),
            (&[no(Success), no(Skipped), W, I], Success),
            (&[no(Created), W, I], Created),
            (&[no(Preparing), I], Preparing),
            (&[no(Canceled), no(Success)], Canceled),
            (&[no(Canceled), W, I, no(Skipped)], Canceled),
            (&[no(Created), no(Skipped)], Pending),
            (&[no(Pending), W], Pending),
            (&[no(Pending), I], Pending),
            (&[no(Created), no(Success)], Running),
            (&[no(Pending), no(Success)], Running),
            (&[no(Pending), no(Manual)], Running),
            (&[no(Running), no(Failed)], Running),
            (&[no(Canceling), no(Running)], Running),
            (&[no(WaitingForResource), no(WaitingForCallback)], WaitingForResource),
            (&[no(WaitingForCallback), no(Manual)], WaitingForCallback),
            (&[no(Failed), no(Manual)], Manual),
            (&[no(Manual), no(Scheduled)], Manual),
            (&[no(Failed), no(Scheduled)], Scheduled),
            (&[no(Scheduled), no(Preparing)], Scheduled),
            (&[no(Preparing), no(Created)], Preparing),
            (&[no(Canceling), no(Created)], Running),
            (&[no(Canceling), no(Success)], Canceling),
            (&[no(Failed), no(Canceled)], Failed),
            (&[no(Failed), no(Success), no(Skipped)], Failed),
        ] {
            assert_eq!(composite(jobs), expected, "{jobs:?}");
        }
    }

    #[test]
    fn an_allowed_failure_is_a_warning_and_an_allowed_manual_job_is_ignored() {
        assert_eq!(composite(&[(Canceled, true)]), Success);
        assert_eq!(composite(&[no(Canceled)]), Canceled);
        assert_eq!(composite(&[no(Manual)]), Manual);
        assert_eq!(composite(&[(Running, true)]), Running);
    }

    #[test]
    fn a_skipped_or_ignored_need_counts_before_all_others() {
        let needs =
            |jobs: &[(JobStatus, bool)]| jobs.iter().copied().collect::<StatusSet>().composite_of_needs();
        assert_eq!(needs(&[no(Skipped), no(Running)]), Skipped);
        assert_eq!(needs(&[I, no(Failed)]), Skipped);
        assert_eq!(needs(&[no(Manual), no(Success)]), Manual);
        assert_eq!(needs(&[]), Success);
    }

    #[test]
    fn a_stage_keeps_its_status_when_its_jobs_are_only_created() {
        for (current, computed, stored) in [
            (Skipped, Created, Skipped),
            (Running, Skipped, Skipped),
            (Canceled, Canceling, Canceled),
            (Running, Canceling, Canceling),
            (Failed, Pending, Pending),
            (Success, Running, Running),
        ] {
            assert_eq!(of_stage(current, computed), stored, "{current} {computed}");
        }
    }

    #[test]
    fn a_pipeline_that_goes_on_reads_running_and_never_pending() {
        for (current, computed, stored) in [
            (Failed, Created, Failed),
            (Created, Pending, Pending),
            (Manual, Pending, Pending),
            (WaitingForResource, Pending, Pending),
            (Preparing, Pending, Pending),
            (Skipped, Pending, Pending),
            (Scheduled, Pending, Pending),
            (Success, Pending, Running),
            (Failed, Pending, Running),
            (Canceling, Pending, Running),
            (Canceled, Pending, Running),
            (Running, Pending, Running),
            (WaitingForCallback, Pending, WaitingForCallback),
            (Pending, Pending, Pending),
            (Running, Canceling, Canceling),
            (Canceled, Canceling, Canceled),
            (Success, Success, Success),
            (Success, Failed, Failed),
            (Canceled, Manual, Manual),
        ] {
            assert_eq!(of_pipeline(current, computed), stored, "{current} {computed}");
        }
    }

    #[test]
    fn the_groups_hold_the_statuses_that_gitlab_lists() {
        for &status in JobStatus::ALL {
            let groups = [
                is_active(status),
                is_alive(status),
                is_cancelable(status),
                is_completed(status),
                is_finished(status),
                is_blocked(status),
                is_executing(status),
            ];
            let expected = match status {
                Created => [false, true, true, false, false, false, false],
                Pending | Preparing | WaitingForResource | WaitingForCallback => {
                    [true, true, true, false, false, false, false]
                }
                Running => [true, true, true, false, false, false, true],
                Success | Failed | Canceled => [false, false, false, true, true, false, false],
                Skipped => [false, false, false, true, false, false, false],
                Manual | Scheduled => [false, false, true, false, false, true, false],
                Canceling => [false, true, false, false, false, false, true],
            };
            assert_eq!(groups, expected, "{status}");
        }
    }
}
