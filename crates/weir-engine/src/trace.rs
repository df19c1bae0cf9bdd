//! Traces: where a piece of one may be appended, and the sections in it.
//!
//! Sources: `app/services/ci/append_build_trace_service.rb`, `lib/gitlab/regex.rb`,
//! `shells/abstract.go` of gitlab-runner.

use std::ops::Range;

use crate::limits;

/// Why a piece is not appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAppended {
    /// The piece does not begin where the stored trace ends; send what follows it.
    #[error("the trace has {stored} bytes; continue there")]
    Elsewhere {
        /// The size of the stored trace in bytes.
        stored: u64,
    },
    /// The trace would be over its limit; the job fails with `trace_size_exceeded`.
    #[error("the trace would be over its limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
}

/// The size in bytes of a trace of `stored` bytes after a piece of `length` bytes that belongs at `start`.
///
/// A trace is never rewritten: a piece that was sent twice is refused, and its sender continues where the
/// stored trace ends. Only the beginning of `Content-Range` counts, the body has its own length.
pub fn append(stored: u64, start: u64, length: u64, limit: u64) -> Result<u64, NotAppended> {
    let end = start.saturating_add(length);
    if end > limit {
        return Err(NotAppended::TooLarge { limit });
    }
    if start != stored {
        return Err(NotAppended::Elsewhere { stored });
    }
    Ok(end)
}

/// The beginning or the end of a section, `section_start:1560896352:name[collapsed=true]\r\e[0K`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker<'t> {
    /// Whether the section begins here.
    pub start: bool,
    /// Seconds since 1970.
    pub at: i64,
    /// The section's name, which ties its beginning to its end.
    pub name: &'t str,
    /// `collapsed=true`: the section is folded at first.
    pub collapsed: bool,
    /// Where the marker stands in the text.
    pub place: Range<usize>,
}

/// All section markers of a piece of trace, in order. A marker that the piece cuts in two is not found.
pub fn markers(text: &str) -> impl Iterator<Item = Marker<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + text.get(from..)?.find(MARK)?;
            from = start + MARK.len();
            if let Some((marker, length)) = marker(&text[start..]) {
                from = start + length;
                return Some(Marker { place: start..from, ..marker });
            }
        }
    })
}

const MARK: &str = "section_";
const END: &str = "\r\x1b[0K";

/// The marker at the beginning of a text, and its length.
fn marker(text: &str) -> Option<(Marker<'_>, usize)> {
    let rest = text.strip_prefix(MARK)?;
    let (start, rest) = match rest.strip_prefix("start:") {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix("end:")?),
    };
    let (at, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
    let rest = rest.strip_prefix(':')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let (name, rest) = rest.split_at(rest.find(|c| !is_name(c))?);
    if name.is_empty() || name.len() > limits::SECTION_NAME_BYTES {
        return None;
    }
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    if options.len() > limits::SECTION_OPTIONS_BYTES {
        return None;
    }
    let rest = rest.strip_prefix(END)?;
    let collapsed = options.split(',').any(|option| option.trim() == "collapsed=true");
    let marker = Marker { start, at: at.parse().ok()?, name, collapsed, place: 0..0 };
    Some((marker, text.len() - rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_piece_is_appended_only_where_the_trace_ends() {
        for (stored, start, length, result) in [
            (0, 0, 10, Ok(10)),
            (10, 10, 5, Ok(15)),
            (10, 10, 0, Ok(10)),
            (10, 0, 10, Err(NotAppended::Elsewhere { stored: 10 })),
            (10, 5, 10, Err(NotAppended::Elsewhere { stored: 10 })),
            (10, 11, 1, Err(NotAppended::Elsewhere { stored: 10 })),
            (90, 90, 10, Ok(100)),
            (90, 90, 11, Err(NotAppended::TooLarge { limit: 100 })),
            (0, u64::MAX, 1, Err(NotAppended::TooLarge { limit: 100 })),
        ] {
            assert_eq!(append(stored, start, length, 100), result, "{stored} {start} {length}");
        }
    }

    #[test]
    fn sections_are_found_by_their_markers() {
        let text = "\x1b[0Ksection_start:1560896352:get_sources[hide_duration=true,collapsed=true]\r\x1b[0KFetch\n\
                    \x1b[0Ksection_end:1560896353:get_sources\r\x1b[0K";
        let found: Vec<Marker<'_>> = markers(text).collect();
        let [begin, end] = &found[..] else { panic!("{found:?}") };
        assert_eq!(
            (begin.start, begin.at, begin.name, begin.collapsed),
            (true, 1_560_896_352, "get_sources", true)
        );
        assert_eq!(
            (end.start, end.at, end.name, end.collapsed),
            (false, 1_560_896_353, "get_sources", false)
        );
        assert!(text[begin.place.end..].starts_with("Fetch"));
        assert!(text[..begin.place.start].ends_with("\x1b[0K"));
    }

    #[test]
    fn what_only_looks_like_a_marker_is_text() {
        let long = format!("section_start:1:{}\r\x1b[0K", "n".repeat(limits::SECTION_NAME_BYTES + 1));
        let options =
            format!("section_start:1:n[{}]\r\x1b[0K", "o".repeat(limits::SECTION_OPTIONS_BYTES + 1));
        for text in [
            "section_start:1:name",
            "section_start::name\r\x1b[0K",
            "section_start:1:\r\x1b[0K",
            "section_middle:1:name\r\x1b[0K",
            "section_start:1:na me\r\x1b[0K",
            "section_start:1:name[a\r\x1b[0K",
            "section_start:99999999999999999999:name\r\x1b[0K",
            &long,
            &options,
        ] {
            assert_eq!(markers(text).count(), 0, "{text}");
        }
        assert_eq!(markers("section_section_start:1:n\r\x1b[0K").count(), 1);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(section_(start|end)?|:|[0-9]|a|\\[|\\]|\r|\x1b\\[0K|é)*") {
            for marker in markers(&text) {
                prop_assert!(text[marker.place].starts_with(MARK));
            }
        }
    }
}
