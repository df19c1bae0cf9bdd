//! Durations in words: `3 hours 30 minutes`, `1h30m`, `1:30:00`, `3600`. Source: the rules of the
//! `gitlab-chronic-duration` gem.

/// Seconds of a year: 365.25 days.
const YEAR: f64 = 31_557_600.0;

/// The seconds that a text stands for; none if it is no duration or zero.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim().to_lowercase();
    let seconds = if text.contains(':') { clock(&text)? } else { words(&text)? };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    (1.0..1e15).contains(&seconds).then_some(seconds as u64)
}

/// `minutes:seconds` up to `years:months:days:hours:minutes:seconds`.
fn clock(text: &str) -> Option<f64> {
    const UNITS: [f64; 6] = [1.0, 60.0, 3_600.0, 86_400.0, 2_592_000.0, YEAR];
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > UNITS.len() {
        return None;
    }
    let mut seconds = 0.0;
    for (part, unit) in parts.iter().rev().zip(UNITS) {
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return None;
        }
        seconds += part.parse::<f64>().ok()? * unit;
    }
    Some(seconds)
}

fn words(text: &str) -> Option<f64> {
    let mut seconds = 0.0;
    let mut rest = text;
    let mut any = false;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        if let Some(after) = rest.strip_prefix("and")
            && after.starts_with(char::is_whitespace)
        {
            rest = after;
            continue;
        }
        if rest.is_empty() {
            return any.then_some(seconds);
        }
        let number_length = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let number: f64 = rest[..number_length].parse().ok()?;
        rest = rest[number_length..].trim_start();
        let unit_length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = &rest[..unit_length];
        rest = &rest[unit_length..];
        seconds += number * unit_seconds(unit)?;
        any = true;
    }
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "wk" | "wks" | "week" | "weeks" => 604_800.0,
        "mo" | "mos" | "month" | "months" => 2_592_000.0,
        "y" | "yr" | "yrs" | "year" | "years" => YEAR,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations_are_read_in_words_clock_form_and_seconds() {
        for (text, seconds) in [
            ("3600", Some(3600)),
            ("1h", Some(3600)),
            ("1h30m", Some(5400)),
            ("1h 30m", Some(5400)),
            ("3 hours 30 minutes", Some(12_600)),
            ("3 hours and 30 minutes", Some(12_600)),
            ("1 week, 2 days", Some(777_600)),
            ("1 month", Some(2_592_000)),
            ("1 mo", Some(2_592_000)),
            ("1 year", Some(31_557_600)),
            ("2 hrs 20 min", Some(8400)),
            ("1.5 hours", Some(5400)),
            ("10 Minutes", Some(600)),
            ("1:30:00", Some(5400)),
            ("4:30", Some(270)),
            ("0", None),
            ("", None),
            ("soon", None),
            ("10 parsecs", None),
            ("-5 minutes", None),
            ("never", None),
            ("1:x", None),
            (":", None),
        ] {
            assert_eq!(super::parse(text), seconds, "{text:?}");
        }
    }
}
