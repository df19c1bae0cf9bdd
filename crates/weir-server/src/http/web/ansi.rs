//! From the bytes of a trace to lines of HTML: colours, sections, overwritten lines.
//!
//! A state machine: however the bytes are cut into pieces, the same items come out, and it keeps one line at a
//! time. Each item is whole by itself, so that a page and an event stream put the same things together.
//! Source of what a trace holds: `doc/ci/jobs/job_logs.md`, `lib/gitlab/ci/ansi2json/`.

use super::text::clock;

/// Bytes of a line; a longer one goes on in the next.
const MAX_LINE: usize = 64 << 10;
/// Sections inside each other; deeper ones are not folded.
const MAX_DEPTH: usize = 16;
/// Bytes of an escape sequence; a longer one is dropped.
const MAX_SEQUENCE: usize = 64;
/// Bytes of a section's marker.
const MAX_MARKER: usize = 1024;
/// `2024-05-22T12:43:46.962646Z 00O `: what runners put before each line, a digit for each 0, `+` at the end if the
/// line goes on where the one before it ended. Source: `doc/ci/jobs/job_logs.md`, `FF_TIMESTAMPS`.
const TIMESTAMP: &[u8; 32] = b"0000-00-00T00:00:00.000000Z xxO ";

/// A part of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A section begins: `<details><summary>…</summary>`.
    Open(String),
    /// A line: `<div>…</div>`.
    Line(String),
    /// The innermost section ends: `</details>`, with how long it took before.
    Close(String),
}

impl Item {
    /// The HTML.
    pub(super) fn html(&self) -> &str {
        match self {
            Self::Open(html) | Self::Line(html) | Self::Close(html) => html,
        }
    }

    /// What the page's script calls it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Line(_) => "line",
            Self::Close(_) => "close",
        }
    }
}

/// How text looks: colours 0 to 15, and flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Style {
    fg: Option<u8>,
    bg: Option<u8>,
    flags: u8,
}

/// The flags: the parameter that sets it, the one that ends it, its class.
const FLAGS: [(u16, u16, &str); 6] = [
    (1, 22, "bold"),
    (2, 22, "dim"),
    (3, 23, "italic"),
    (4, 24, "underline"),
    (7, 27, "inverse"),
    (9, 29, "strike"),
];

#[derive(Debug, Clone, Default)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After `ESC [`.
    Sequence(Vec<u8>),
    /// After `ESC ]`: a title or a link, up to BEL or ESC.
    Title,
}

#[derive(Debug, Clone)]
struct Section {
    name: String,
    /// Seconds since 1970.
    start: u64,
}

/// Whether the trace's lines begin with timestamps; the first line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timestamps {
    Unknown,
    Yes,
    No,
}

/// The state machine.
#[derive(Debug, Clone)]
pub(super) struct Converter {
    /// The number of the line under way, from 1.
    number: u64,
    state: State,
    style: Style,
    spans: Vec<(Style, Vec<u8>)>,
    /// Bytes in `spans`.
    length: usize,
    /// After a carriage return: the next text overwrites the line.
    overwrite: bool,
    timestamps: Timestamps,
    /// The line's first bytes while they may be a timestamp.
    head: Option<Vec<u8>>,
    /// The line has ended, unless the next one goes on with it.
    ended: bool,
    sections: Vec<Section>,
    /// The line is the header of a section, which is folded or not.
    header: Option<bool>,
    /// The line had a marker: empty, it is not shown.
    marked: bool,
}

impl Converter {
    /// Begins with the line of a number.
    pub(super) fn new(first_line: u64) -> Self {
        Self {
            number: first_line,
            state: State::default(),
            style: Style::default(),
            spans: Vec::new(),
            length: 0,
            overwrite: false,
            timestamps: Timestamps::Unknown,
            head: Some(Vec::new()),
            ended: false,
            sections: Vec::new(),
            header: None,
            marked: false,
        }
    }

    /// Takes more of the trace; the items that are complete go to `out`.
    pub(super) fn feed(&mut self, bytes: &[u8], out: &mut Vec<Item>) {
        for byte in bytes {
            let Some(mut head) = self.head.take() else {
                self.step(*byte, out);
                continue;
            };
            head.push(*byte);
            if !is_timestamp_at(head.len() - 1, *byte) {
                self.not_a_timestamp(&head, out);
            } else if head.len() < TIMESTAMP.len() {
                self.head = Some(head);
            } else {
                self.timestamps = Timestamps::Yes;
                if *byte == b'+' {
                    self.ended = false;
                }
                self.finish_ended(out);
            }
        }
    }

    /// Sections that have begun and not ended.
    pub(super) fn open_sections(&self) -> usize {
        self.sections.len() - usize::from(self.header.is_some())
    }

    /// The line under way, which may yet change.
    pub(super) fn unfinished(&self) -> Vec<Item> {
        let mut copy = Self { header: None, ..self.clone() };
        let mut items = Vec::new();
        copy.end(&mut items);
        items
    }

    /// The trace is over: the last line goes to `out`.
    pub(super) fn end(&mut self, out: &mut Vec<Item>) {
        if let Some(head) = self.head.take() {
            self.not_a_timestamp(&head, out);
        }
        if self.ended || self.length > 0 || self.header.is_some() {
            self.finish(out);
        }
    }

    fn not_a_timestamp(&mut self, head: &[u8], out: &mut Vec<Item>) {
        if head.is_empty() {
            return;
        }
        if self.timestamps == Timestamps::Unknown {
            self.timestamps = Timestamps::No;
        }
        for byte in head {
            self.step(*byte, out);
        }
    }

    fn step(&mut self, byte: u8, out: &mut Vec<Item>) {
        self.finish_ended(out);
        match (std::mem::take(&mut self.state), byte) {
            (_, b'\n') => {
                self.ended = true;
                self.overwrite = false;
                self.head = (self.timestamps != Timestamps::No).then(Vec::new);
            }
            (_, 0x1b) => self.state = State::Escape,
            (State::Escape, b'[') => self.state = State::Sequence(Vec::new()),
            (State::Escape, b']') => self.state = State::Title,
            (State::Escape, _) => {}
            (State::Title, 0x07) => {}
            (State::Title, _) => self.state = State::Title,
            (State::Sequence(parameters), 0x40..=0x7e) => {
                if parameters.len() < MAX_SEQUENCE {
                    self.control(&parameters, byte);
                }
            }
            (State::Sequence(mut parameters), _) => {
                if parameters.len() < MAX_SEQUENCE {
                    parameters.push(byte);
                }
                self.state = State::Sequence(parameters);
            }
            (State::Text, b'\r') => self.carriage_return(out),
            (State::Text, 0..=8 | 0x0b..=0x1f | 0x7f) => {}
            (State::Text, _) => self.text(byte, out),
        }
    }

    fn text(&mut self, byte: u8, out: &mut Vec<Item>) {
        if self.overwrite {
            self.clear();
        }
        let continues_a_character = byte & 0xc0 == 0x80;
        if self.length >= MAX_LINE && !continues_a_character {
            self.finish(out);
        }
        self.length += 1;
        match self.spans.last_mut() {
            Some((style, text)) if *style == self.style => text.push(byte),
            _ => self.spans.push((self.style, vec![byte])),
        }
    }

    fn clear(&mut self) {
        self.spans.clear();
        self.length = 0;
        self.overwrite = false;
    }

    fn control(&mut self, parameters: &[u8], end: u8) {
        match end {
            b'm' => self.style.change(parameters),
            // Erasing to the end of the line does nothing at its end.
            b'K' if parameters == b"2" || self.overwrite => self.clear(),
            _ => {}
        }
    }

    /// At the end of a section's marker, or before a line is written anew.
    fn carriage_return(&mut self, out: &mut Vec<Item>) {
        let marker = self.spans.last().and_then(|(_, text)| Marker::at_end_of(text));
        let Some((marker, length)) = marker else {
            self.overwrite = true;
            return;
        };
        if let Some((_, text)) = self.spans.last_mut() {
            text.truncate(text.len() - length);
        }
        self.length -= length;
        if self.length > 0 || self.header.is_some() {
            self.finish(out);
        }
        self.marked = true;
        match marker {
            Marker::Start { section, collapsed } if self.sections.len() < MAX_DEPTH => {
                self.sections.push(section);
                self.header = Some(collapsed);
            }
            Marker::Start { .. } => {}
            Marker::End { name, at } => {
                let Some(depth) = self.sections.iter().rposition(|section| section.name == name) else {
                    return;
                };
                for (inner, section) in self.sections.drain(depth..).enumerate().rev() {
                    let mut html = String::new();
                    if inner == 0 {
                        html.push_str("<div class=\"section-end\">");
                        html.push_str(&clock(at.saturating_sub(section.start)));
                        html.push_str("</div>");
                    }
                    html.push_str("</details>");
                    out.push(Item::Close(html));
                }
            }
        }
    }

    fn finish_ended(&mut self, out: &mut Vec<Item>) {
        if self.ended {
            self.finish(out);
        }
    }

    fn finish(&mut self, out: &mut Vec<Item>) {
        let header = self.header.take();
        self.ended = false;
        if self.length == 0 && std::mem::take(&mut self.marked) && header.is_none() {
            self.clear();
            return;
        }
        self.marked = false;
        let n = self.number;
        self.number += 1;
        let mut text = String::new();
        for (style, bytes) in &self.spans {
            style.write(&String::from_utf8_lossy(bytes), &mut text);
        }
        self.clear();
        let place = format!("id=\"L{n}\"><a href=\"#L{n}\">{n}</a>");
        out.push(match header {
            None => Item::Line(format!("<div class=\"line\" {place}<span>{text}</span></div>")),
            Some(collapsed) => {
                if text.is_empty() {
                    escape(self.sections.last().map_or("", |section| &section.name), &mut text);
                }
                let open = if collapsed { "" } else { " open" };
                Item::Open(format!(
                    "<details class=\"section\"{open}><summary class=\"line\" {place}<span>{text}</span></summary>"
                ))
            }
        });
    }
}

fn is_timestamp_at(place: usize, byte: u8) -> bool {
    match TIMESTAMP.get(place) {
        Some(b'0') => byte.is_ascii_digit(),
        Some(b'x') => byte.is_ascii_hexdigit(),
        Some(b'O') => matches!(byte, b'O' | b'E'),
        Some(b' ') if place + 1 == TIMESTAMP.len() => matches!(byte, b' ' | b'+'),
        Some(other) => byte == *other,
        None => false,
    }
}

/// `section_start:SECONDS:NAME[collapsed=true]` or `section_end:SECONDS:NAME`, before a carriage return.
enum Marker {
    Start { section: Section, collapsed: bool },
    End { name: String, at: u64 },
}

impl Marker {
    /// The marker that a text ends with, and its length.
    fn at_end_of(text: &[u8]) -> Option<(Self, usize)> {
        const WORD: &[u8] = b"section_";
        let tail = &text[text.len().saturating_sub(MAX_MARKER)..];
        let begin = tail.windows(WORD.len()).rposition(|window| window == WORD)?;
        let marker = std::str::from_utf8(&tail[begin..]).ok()?;
        let mut parts = marker.splitn(3, ':');
        let (word, at, rest) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        let (name, options) = match rest.split_once('[') {
            Some((name, options)) => (name, options.strip_suffix(']')?),
            None => (rest, ""),
        };
        let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if name.is_empty() || !name.chars().all(good) {
            return None;
        }
        let name = name.to_owned();
        let read = match word {
            "section_start" => Self::Start {
                section: Section { name, start: at },
                collapsed: options.split(',').any(|option| option.trim() == "collapsed=true"),
            },
            "section_end" => Self::End { name, at },
            _ => return None,
        };
        Some((read, marker.len()))
    }
}

impl Style {
    /// Applies the parameters of `ESC [ … m`.
    fn change(&mut self, parameters: &[u8]) {
        let Ok(text) = std::str::from_utf8(parameters) else { return };
        let mut numbers = text.split([';', ':']).map(|number| number.parse::<u16>().unwrap_or(0));
        while let Some(number) = numbers.next() {
            match number {
                0 => *self = Self::default(),
                30..=37 => self.fg = small(number - 30),
                90..=97 => self.fg = small(number - 90 + 8),
                39 => self.fg = None,
                40..=47 => self.bg = small(number - 40),
                100..=107 => self.bg = small(number - 100 + 8),
                49 => self.bg = None,
                38 => self.fg = colour(&mut numbers),
                48 => self.bg = colour(&mut numbers),
                _ => {
                    for (bit, (on, off, _)) in FLAGS.iter().enumerate() {
                        if number == *on {
                            self.flags |= 1 << bit;
                        } else if number == *off {
                            self.flags &= !(1 << bit);
                        }
                    }
                }
            }
        }
    }

    fn write(self, text: &str, html: &mut String) {
        if self == Self::default() {
            escape(text, html);
            return;
        }
        let mut classes: Vec<String> = Vec::new();
        classes.extend(self.fg.map(|colour| format!("fg-{colour}")));
        classes.extend(self.bg.map(|colour| format!("bg-{colour}")));
        let flags = FLAGS.iter().enumerate().filter(|(bit, _)| self.flags & (1 << bit) != 0);
        classes.extend(flags.map(|(_, (_, _, class))| (*class).to_owned()));
        html.push_str("<span class=\"");
        html.push_str(&classes.join(" "));
        html.push_str("\">");
        escape(text, html);
        html.push_str("</span>");
    }
}

fn small(number: u16) -> Option<u8> {
    u8::try_from(number).ok()
}

/// What follows 38 or 48, as the nearest of the 16 colours that a theme has.
fn colour(numbers: &mut impl Iterator<Item = u16>) -> Option<u8> {
    let (r, g, b) = match numbers.next()? {
        5 => match numbers.next()? {
            basic @ 0..=15 => return small(basic),
            cube @ 16..=231 => {
                let level = |step: u16| if step == 0 { 0 } else { 55 + 40 * step };
                let cube = cube - 16;
                (level(cube / 36), level(cube / 6 % 6), level(cube % 6))
            }
            grey => {
                let level = 8 + 10 * (grey.min(255) - 232);
                (level, level, level)
            }
        },
        2 => (numbers.next()?.min(255), numbers.next()?.min(255), numbers.next()?.min(255)),
        _ => return None,
    };
    let (least, most) = (r.min(g).min(b), r.max(g).max(b));
    if most - least < 32 {
        return Some(match most {
            0..=63 => 0,
            64..=159 => 8,
            160..=223 => 7,
            _ => 15,
        });
    }
    // Which of the three are strong says the hue; how strong, whether it is a bright one.
    let strong = |level: u16, bit: u8| if level - least > (most - least) / 2 { bit } else { 0 };
    let bright = if most > 220 { 8 } else { 0 };
    Some((strong(r, 1) | strong(g, 2) | strong(b, 4)) + bright)
}

fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn items(pieces: &[&[u8]]) -> Vec<Item> {
        let (mut converter, mut out) = (Converter::new(1), Vec::new());
        for piece in pieces {
            converter.feed(piece, &mut out);
        }
        converter.end(&mut out);
        out
    }

    /// What is in the lines, without what is around each.
    fn shown(trace: &str) -> Vec<String> {
        let inner = |item: &Item| {
            let html = item.html();
            let (Some(from), Some(to)) = (html.find("<span>"), html.rfind("</span>")) else {
                return html.to_owned();
            };
            format!("{}{}", if matches!(item, Item::Open(_)) { "# " } else { "" }, &html[from + 6..to])
        };
        items(&[trace.as_bytes()]).iter().map(inner).collect()
    }

    #[test]
    fn text_is_escaped_and_cut_into_numbered_lines() {
        let html: String = items(&[b"a <b>\n\n\"&'\n"]).iter().map(|item| item.html().to_owned()).collect();
        assert_eq!(
            html,
            "<div class=\"line\" id=\"L1\"><a href=\"#L1\">1</a><span>a &lt;b&gt;</span></div>\
             <div class=\"line\" id=\"L2\"><a href=\"#L2\">2</a><span></span></div>\
             <div class=\"line\" id=\"L3\"><a href=\"#L3\">3</a><span>&quot;&amp;&#39;</span></div>"
        );
    }

    #[test]
    fn sequences_become_classes() {
        for (trace, html) in [
            ("\x1b[31mred\x1b[0m plain", "<span class=\"fg-1\">red</span> plain"),
            ("\x1b[32;1mok\x1b[0;m", "<span class=\"fg-2 bold\">ok</span>"),
            ("\x1b[1;2;3;4;7;9mx", "<span class=\"bold dim italic underline inverse strike\">x</span>"),
            (
                "\x1b[1;4ma\x1b[22mb",
                "<span class=\"bold underline\">a</span><span class=\"underline\">b</span>",
            ),
            ("\x1b[97;100mx", "<span class=\"fg-15 bg-8\">x</span>"),
            ("\x1b[38;5;9;48;5;4mx", "<span class=\"fg-9 bg-4\">x</span>"),
            ("\x1b[38;5;196mx", "<span class=\"fg-9\">x</span>"),
            ("\x1b[38;5;244mx", "<span class=\"fg-8\">x</span>"),
            ("\x1b[38;2;0;200;0mx", "<span class=\"fg-2\">x</span>"),
            ("\x1b[38;9mx\x1b[38mx", "xx"),
            ("\x1b[31m\x1b[39mx\x1b[mx", "xx"),
            ("\x1b[2Jx\x1b[?25ly\x1b(z", "xyz"),
            ("\x1b]0;a title\x07x", "x"),
            ("a\x07\x08\tb\0", "a\tb"),
        ] {
            assert_eq!(shown(trace), [html], "{trace:?}");
        }
        assert_eq!(shown("\x1b[31ma\nb"), ["<span class=\"fg-1\">a</span>", "<span class=\"fg-1\">b</span>"]);
        assert_eq!(shown("\x1b[31\na\x1b]0;open\nb"), ["", "a", "b"], "a line's end ends every sequence");
    }

    #[test]
    fn a_carriage_return_overwrites_the_line() {
        for (trace, lines) in [
            ("10%\r20%\r100%\n", vec!["100%"]),
            ("windows\r\nends\r\n", vec!["windows", "ends"]),
            ("kept\r", vec!["kept"]),
            ("gone\r\x1b[Kx", vec!["x"]),
            ("gone\x1b[2Kx", vec!["x"]),
            ("kept\x1b[Kx", vec!["keptx"]),
        ] {
            assert_eq!(shown(trace), lines, "{trace:?}");
        }
    }

    #[test]
    fn sections_fold() {
        let close = |time: &str| format!("<div class=\"section-end\">{time}</div></details>");
        let trace = "\x1b[0Ksection_start:100:prepare\r\x1b[0K\x1b[36;1mPreparing\x1b[0;m\nUsing a shell\n\
                     \x1b[0Ksection_end:165:prepare\r\x1b[0Ksection_start:165:script[collapsed=true]\r\x1b[0KRunning\n\
                     $ make\nsection_end:170:script\r\x1b[0K\nJob succeeded\n";
        assert_eq!(
            shown(trace),
            [
                "# <span class=\"fg-6 bold\">Preparing</span>",
                "Using a shell",
                &close("01:05"),
                "# Running",
                "$ make",
                &close("00:05"),
                "Job succeeded",
            ]
        );
        let folded = |item: &Item| !item.html().contains("<details class=\"section\" open>");
        let headers: Vec<_> =
            items(&[trace.as_bytes()]).iter().filter(|item| item.kind() == "open").map(folded).collect();
        assert_eq!(headers, [false, true]);
    }

    #[test]
    fn a_section_that_ends_ends_those_inside_it() {
        let trace = "section_start:1:a\r\x1b[0KA\nsection_start:2:b\r\x1b[0K\nx\nsection_end:9:a\r\x1b[0Ky\n";
        let end = "<div class=\"section-end\">00:08</div></details>";
        assert_eq!(shown(trace), ["# A", "# b", "x", "</details>", end, "y"]);
        for (trace, lines) in [
            ("section_end:1:a\r\x1b[0Kx\n", vec!["x"]),
            ("section_start:x:a\rb\n", vec!["b"]),
            ("section_start:1:a b\rc\n", vec!["c"]),
            ("say section_start:1:a\nb\n", vec!["say section_start:1:a", "b"]),
        ] {
            assert_eq!(shown(trace), lines, "{trace:?}");
        }
    }

    #[test]
    fn timestamps_of_a_runner_are_no_part_of_the_text() {
        let at = "2024-05-22T12:43:46.962646Z";
        let trace = format!("{at} 00O one \n{at} 00O+goes on\n{at} 01E two\n2024 three");
        assert_eq!(shown(&trace), ["one goes on", "two", "2024 three"]);
        let own = format!("plain\n{at} 00O mine\n");
        assert_eq!(shown(&own), ["plain".to_owned(), format!("{at} 00O mine")], "the first line tells");
    }

    #[test]
    fn what_is_too_long_or_too_deep_has_an_end() {
        let long = "x".repeat(MAX_LINE + 1);
        assert_eq!(shown(&long).iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE, 1]);
        let deep =
            (0..40).map(|n| format!("section_start:1:s{n}\r\x1b[0K{n}\n")).collect::<Vec<_>>().concat();
        assert_eq!(items(&[deep.as_bytes()]).iter().filter(|item| item.kind() == "open").count(), MAX_DEPTH);
        assert_eq!(shown(&format!("\x1b[{}mx", "1;".repeat(1000))), ["x"]);
    }

    #[test]
    fn the_line_under_way_is_shown_before_it_ends() {
        let (mut converter, mut out) = (Converter::new(7), Vec::new());
        converter.feed(b"section_start:1:a\r\x1b[0KHead", &mut out);
        assert!(out.is_empty());
        let line = |html: &str| vec![Item::Line(html.to_owned())];
        assert_eq!(
            converter.unfinished(),
            line("<div class=\"line\" id=\"L7\"><a href=\"#L7\">7</a><span>Head</span></div>")
        );
        converter.feed(b"er\nnext", &mut out);
        assert!(matches!(&out[..], [Item::Open(html)] if html.contains("Header")));
    }

    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let known = prop::sample::select(vec![
            &b"<script>alert(1)</script>"[..],
            b"\" onclick=\"x",
            b"&amp;'",
            b"\x1b[31;1m",
            b"\x1b[38;5;",
            b"200m",
            b"\x1b]0;",
            b"\x1b",
            b"\r",
            b"\n",
            b"section_start:12:a[collapsed=true]\r\x1b[0K",
            b"section_start:12:<b>\r\x1b[0K",
            b"section_end:14:a\r\x1b[0K",
            b"2024-05-22T12:43:46.962646Z 00O ",
            b"2024-05-22T12:43:46.962646Z 00O+",
            "ä€".as_bytes(),
        ]);
        prop_oneof![known.prop_map(<[u8]>::to_vec), prop::collection::vec(any::<u8>(), 0..8)]
    }

    /// Demands that every tag is one that the converter makes.
    fn only_own_tags(html: &str) -> bool {
        let mut rest = html;
        while let Some(at) = rest.find(['<', '>']) {
            let Some(end) = rest[at..].find('>') else { return false };
            let tag = &rest[at..=at + end];
            let own = ["<div ", "</div>", "<a href=\"#L", "</a>", "<span>", "<span class=\"", "</span>"];
            let own_section = ["<details class=\"section\"", "</details>", "<summary ", "</summary>"];
            let plain = |c: char| c.is_ascii_alphanumeric() || "<>/=\" #-".contains(c);
            let known = own.iter().chain(&own_section).any(|it| tag.starts_with(it));
            if !known || !tag.chars().all(plain) || tag.contains("onclick") {
                return false;
            }
            rest = &rest[at + end + 1..];
        }
        true
    }

    proptest! {
        #[test]
        fn nothing_of_a_trace_becomes_a_tag(pieces in prop::collection::vec(piece(), 0..40)) {
            for item in items(&[&pieces.concat()]) {
                prop_assert!(only_own_tags(item.html()), "{}", item.html());
            }
        }

        #[test]
        fn pieces_and_the_whole_give_the_same(pieces in prop::collection::vec(piece(), 0..40)) {
            let whole = pieces.concat();
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let bytes: Vec<&[u8]> = whole.chunks(1).collect();
            let expected = items(&[&whole]);
            prop_assert_eq!(&items(&pieces), &expected);
            prop_assert_eq!(&items(&bytes), &expected);
        }

        #[test]
        fn every_section_that_closes_was_open(pieces in prop::collection::vec(piece(), 0..40)) {
            let mut depth = 0_i32;
            for item in items(&[&pieces.concat()]) {
                depth += match item.kind() { "open" => 1, "close" => -1, _ => 0 };
                prop_assert!(depth >= 0);
            }
        }
    }
}
