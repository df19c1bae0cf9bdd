//! Points in time as GitLab writes them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A point in time: microseconds since 1970 in UTC.
///
/// On the wire it is ISO-8601 with milliseconds (`2016-01-11T10:13:33.506Z`); every ISO-8601 form with an
/// offset, and a bare date, is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is no point in time that ISO-8601 or GitLab knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a date or time in ISO-8601")]
pub struct NotATimestamp(String);

impl Timestamp {
    /// From microseconds since 1970 in UTC.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From a date as HTTP headers have it, `Sun, 06 Nov 1994 08:49:37 GMT`; none if it is not one.
    pub fn from_http_date(text: &str) -> Option<Self> {
        let parsed = jiff::fmt::rfc2822::parse(text).ok()?;
        Some(Self(parsed.timestamp().as_microsecond()))
    }

    /// Microseconds since 1970 in UTC.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970 in UTC, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This point plus a number of seconds, which may be negative.
    #[must_use]
    pub const fn plus_secs(self, secs: i64) -> Self {
        Self(self.0.saturating_add(secs.saturating_mul(1_000_000)))
    }

    /// Seconds from `earlier` to this point; negative if this point is the earlier one.
    #[expect(clippy::cast_precision_loss, reason = "a span of 285 years keeps its microseconds")]
    pub fn secs_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0) as f64 / 1e6
    }

    fn civil(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// The calendar date in UTC, `2026-01-05`.
    pub fn date(self) -> String {
        self.civil().strftime("%Y-%m-%d").to_string()
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.civil().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").fmt(f)
    }
}

impl std::str::FromStr for Timestamp {
    type Err = NotATimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let parsed = text.parse::<jiff::Timestamp>().or_else(|_| {
            // GitLab reads a date, or a time without an offset, as UTC.
            text.parse::<jiff::civil::DateTime>()
                .or_else(|_| text.parse::<jiff::civil::Date>().map(|date| date.at(0, 0, 0, 0)))
                .and_then(|civil| jiff::tz::TimeZone::UTC.to_timestamp(civil))
        });
        parsed.map(|at| Self(at.as_microsecond())).map_err(|_| NotATimestamp(text.to_owned()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_in_utc_with_milliseconds() {
        for (read, written) in [
            ("2016-01-11T10:13:33.506Z", "2016-01-11T10:13:33.506Z"),
            ("2016-01-11T10:13:33+02:00", "2016-01-11T08:13:33.000Z"),
            ("2016-01-11T10:13:33", "2016-01-11T10:13:33.000Z"),
            ("2016-01-11", "2016-01-11T00:00:00.000Z"),
        ] {
            assert_eq!(read.parse::<Timestamp>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn a_date_of_a_header_is_read() {
        let read = Timestamp::from_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(read.to_string(), "1994-11-06T08:49:37.000Z");
        assert_eq!(Timestamp::from_http_date("yesterday"), None);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        assert!("yesterday".parse::<Timestamp>().is_err());
        assert!("2016-13-01".parse::<Timestamp>().is_err());
    }
}
