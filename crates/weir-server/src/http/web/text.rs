//! Times and sizes as people read them.

use weir_api::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// `01:05`, `1:00:00`.
pub(super) fn clock(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / HOUR, seconds / MINUTE % 60, seconds % 60);
    if hours == 0 { format!("{minutes:02}:{rest:02}") } else { format!("{hours}:{minutes:02}:{rest:02}") }
}

/// The same of a span; less than nothing is nothing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a span of seconds, cut to 0 and up"
)]
pub(super) fn clock_of(seconds: f64) -> String {
    clock(seconds.max(0.0) as u64)
}

/// `just now`, `1 minute ago`, `3 days ago`.
pub(super) fn ago(now: Timestamp, at: Timestamp) -> String {
    let seconds = u64::try_from(now.as_secs() - at.as_secs()).unwrap_or(0);
    let (count, unit) = match seconds {
        0..MINUTE => return "just now".to_owned(),
        MINUTE..HOUR => (seconds / MINUTE, "minute"),
        HOUR..DAY => (seconds / HOUR, "hour"),
        _ => (seconds / DAY, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

/// `512 bytes`, `1.5 KiB`.
#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
pub(super) fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["bytes", "KiB", "MiB"] {
        if value < 1024.0 {
            return if unit == "bytes" { format!("{bytes} bytes") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} GiB")
}

/// The words of a vocabulary: `waiting_for_resource` is `waiting for resource`.
pub(super) fn words(word: &str) -> String {
    word.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_at_a_glance() {
        for (seconds, text) in [(0, "00:00"), (65, "01:05"), (3600, "1:00:00"), (90_061, "25:01:01")] {
            assert_eq!(clock(seconds), text);
        }
        assert_eq!((clock_of(-1.0), clock_of(61.9)), ("00:00".to_owned(), "01:01".to_owned()));
        let then = Timestamp::from_micros(0);
        for (seconds, text) in [
            (-5, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (7_200, "2 hours ago"),
            (86_400, "1 day ago"),
        ] {
            assert_eq!(ago(then.plus_secs(seconds), then), text);
        }
        for (bytes, text) in
            [(512, "512 bytes"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), (5 << 30, "5.0 GiB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
