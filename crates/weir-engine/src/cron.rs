//! When a schedule runs next: a cron line, a time zone and a point in time in; the next point in time out.
//!
//! GitLab leaves this to fugit, so the line means what it means there, daylight saving time included: a time that
//! is skipped in spring is skipped, one that comes twice in autumn counts twice. Days are told by either day field
//! if both are restricted. Source: `lib/gitlab/ci/cron_parser.rb`; fugit's `lib/fugit/cron.rb`.
//! Not there: `~`, for which fugit rolls dice.

mod line;
mod zone;

use jiff::civil::{Date, DateTime};
use jiff::tz::AmbiguousOffset;
use weir_api::Timestamp;

pub use zone::{InvalidZone, Zone};

/// The line is no cron line, or describes days that never come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cron line cannot be understood")]
pub struct InvalidCron;

const DAY: i64 = 86_400;
/// The most steps in search of a time. Source: fugit's `MAX_ITERATION_COUNT`.
const MAX_STEPS: usize = 2_048;

/// A cron line. In each field none means any value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    seconds: Option<Vec<i8>>,
    minutes: Option<Vec<i8>>,
    hours: Option<Vec<i8>>,
    /// Negative ones count from the month's end.
    month_days: Option<Vec<i8>>,
    months: Option<Vec<i8>>,
    week_days: Option<Vec<WeekDay>>,
    /// Whether both day fields must match: a `&` behind one of them.
    both_days: bool,
}

/// A day of the week, Sunday being 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WeekDay {
    day: i8,
    which: Which,
}

/// Which of the days with that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    /// `#2`, the second of the month; `#-1`, the last.
    InMonth(i8),
    /// `%2+1`: those in weeks whose number leaves a remainder.
    Weeks {
        every: i64,
        offset: i64,
    },
}

impl std::str::FromStr for Cron {
    type Err = InvalidCron;

    fn from_str(text: &str) -> Result<Self, InvalidCron> {
        line::parse(text)
    }
}

fn fits(field: Option<&[i8]>, value: i8) -> bool {
    field.is_none_or(|values| values.contains(&value))
}

impl Cron {
    /// The first whole second after `after` that the line names in the zone; none if there is none in sight.
    pub fn next(&self, zone: &Zone, after: Timestamp) -> Option<Timestamp> {
        // Units are looked at from the largest to the smallest; what does not fit moves on to the start of the
        // next unit, in real time, so that clock changes come in between as they do.
        let mut at = after.as_secs() + 1;
        for _ in 0..MAX_STEPS {
            let local = zone.local(at)?;
            at = if !fits(self.months.as_deref(), local.month()) {
                next_month(zone, local)?
            } else if !self.day_fits(zone, local)? {
                next_day(zone, at, local)?
            } else if !fits(self.hours.as_deref(), local.hour()) {
                at + i64::from(60 - local.minute()) * 60 - i64::from(local.second())
            } else if !fits(self.minutes.as_deref(), local.minute()) {
                at + i64::from(60 - local.second())
            } else if !fits(self.seconds.as_deref(), local.second()) {
                let seconds = self.seconds.as_deref().unwrap_or_default();
                let later = seconds.iter().find(|second| **second > local.second());
                let next =
                    later.map_or_else(|| seconds.first().map(|first| first + 60), |second| Some(*second));
                at + i64::from(next? - local.second())
            } else {
                return Some(Timestamp::from_micros(at.checked_mul(1_000_000)?));
            };
        }
        None
    }

    fn day_fits(&self, zone: &Zone, local: DateTime) -> Option<bool> {
        let of_month = match &self.month_days {
            None => true,
            Some(days) => {
                // The last day is the one of 24 hours before the next month, wherever a clock change puts it.
                let last = zone.local(next_month(zone, local)? - DAY)?.day();
                days.iter().any(|day| local.day() == if *day < 0 { last + 1 + day } else { *day })
            }
        };
        let of_week = self.week_days.as_ref().is_none_or(|days| {
            let today = local.weekday().to_sunday_zero_offset();
            days.iter().any(|it| it.day == today && it.which.fits(zone, local.date()))
        });
        let either = self.month_days.is_some() && self.week_days.is_some() && !self.both_days;
        Some(if either { of_month || of_week } else { of_month && of_week })
    }
}

impl Which {
    fn fits(self, zone: &Zone, date: Date) -> bool {
        match self {
            Self::All => true,
            Self::InMonth(number) if number > 0 => (date.day() - 1) / 7 + 1 == number,
            Self::InMonth(number) => -((date.days_in_month() - date.day()) / 7 + 1) == number,
            Self::Weeks { every, offset } => {
                // Weeks count from a Monday, noon to noon, in real time.
                let noon = |date: Date| zone.instant(date.at(12, 0, 0, 0));
                let (Some(first), Some(today)) = (noon(Date::constant(2018, 12, 31)), noon(date)) else {
                    return false;
                };
                let week = (today - first).div_euclid(DAY).div_euclid(7);
                week.rem_euclid(every) == offset.rem_euclid(every)
            }
        }
    }
}

/// The start of the next month.
fn next_month(zone: &Zone, local: DateTime) -> Option<i64> {
    let first = local.date().last_of_month().tomorrow().ok()?;
    zone.instant(first.at(0, 0, 0, 0))
}

/// The start of the next day. Source: fugit's `TimeCursor#inc_day`, by which a day that begins later than at
/// midnight is passed over.
fn next_day(zone: &Zone, at: i64, local: DateTime) -> Option<i64> {
    let rest = |local: DateTime| {
        i64::from(24 - local.hour()) * 3_600 - i64::from(local.minute()) * 60 - i64::from(local.second())
    };
    let next = at + rest(local);
    let reached = zone.local(next)?;
    match reached.hour() {
        0 => Some(next),
        hour @ 1..12 => match zone.offset(reached.date().at(0, 0, 0, 0)) {
            AmbiguousOffset::Gap { .. } => Some(next + i64::from(24 - hour) * 3_600),
            _ => zone.instant(reached.date().at(0, 0, 0, 0)),
        },
        hour => Some(next + i64::from(24 - hour) * 3_600),
    }
}
