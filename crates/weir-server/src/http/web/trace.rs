//! A trace as a stream of HTML.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt as _, try_unfold};

use super::ansi::{Converter, Item};
use crate::app::traces::Reader;

/// Bytes of a trace that a page shows: the last ones. More is of no use in a browser, and the whole is a link away.
const SHOWN: u64 = 2 << 20;

/// Where the shown part of a trace begins, and what was made of it: all that is needed to go on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shown {
    /// Bytes before it.
    pub(super) start: u64,
    /// Lines before it.
    pub(super) lines: u64,
    /// Items that are complete.
    pub(super) items: usize,
}

/// What follows the trace of a page, by what was shown.
pub(super) type After = Box<dyn FnOnce(Shown) -> String + Send>;

/// What is around the trace of a page.
pub(super) struct Around {
    pub(super) before: String,
    pub(super) after: After,
    /// Whether the trace is complete.
    pub(super) complete: bool,
}

/// The page, made while the trace is read.
pub(super) fn stream(trace: Reader, around: Around) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    let skip = trace.size.saturating_sub(SHOWN);
    let page = Page {
        body: trace.body,
        skip: Skip { bytes: skip, to_line_end: skip > 0 },
        shown: Shown::default(),
        converter: None,
        around: Some((around.after, around.complete)),
        ready: VecDeque::from([Bytes::from(around.before)]),
    };
    try_unfold(page, async |mut page: Page| {
        while page.ready.is_empty() {
            if !page.read().await? {
                return Ok(None);
            }
        }
        Ok(page.ready.pop_front().map(|bytes| (bytes, page)))
    })
}

/// What of a long trace is passed over: so many bytes, and the rest of the line that they end in.
struct Skip {
    bytes: u64,
    to_line_end: bool,
}

struct Page {
    body: BoxStream<'static, std::io::Result<Bytes>>,
    skip: Skip,
    shown: Shown,
    converter: Option<Converter>,
    around: Option<(After, bool)>,
    ready: VecDeque<Bytes>,
}

impl Page {
    /// Makes more of the page; `false` at its end.
    async fn read(&mut self) -> std::io::Result<bool> {
        if let Some(piece) = self.body.next().await {
            let piece = piece?;
            let passed = self.skip.pass(&piece, &mut self.shown);
            let rest = &piece[passed..];
            if !rest.is_empty() {
                let first = self.shown.lines + 1;
                let converter = self.converter.get_or_insert_with(|| Converter::new(first));
                let mut items = Vec::new();
                converter.feed(rest, &mut items);
                self.shown.items += items.len();
                self.push(&items);
            }
            return Ok(true);
        }
        let Some((after, complete)) = self.around.take() else { return Ok(false) };
        let mut rest = Vec::new();
        if let Some(converter) = &mut self.converter {
            if complete {
                converter.end(&mut rest);
            } else {
                rest = converter.unfinished();
            }
        }
        let html: String = rest.iter().map(Item::html).collect();
        let open = self.converter.as_ref().map_or(0, Converter::open_sections);
        let html = if complete || html.is_empty() {
            html
        } else {
            format!("<div class=\"unfinished\">{html}</div>")
        };
        self.ready.push_back(Bytes::from(format!(
            "{html}{}{}",
            "</details>".repeat(open),
            after(self.shown)
        )));
        Ok(true)
    }

    fn push(&mut self, items: &[Item]) {
        let html: String = items.iter().map(Item::html).collect();
        if !html.is_empty() {
            self.ready.push_back(Bytes::from(html));
        }
    }
}

impl Skip {
    /// How much of a piece is passed over; the lines in it are counted.
    fn pass(&mut self, piece: &[u8], shown: &mut Shown) -> usize {
        let whole = usize::try_from(self.bytes).unwrap_or(usize::MAX).min(piece.len());
        self.bytes -= whole as u64;
        let mut passed = whole;
        if self.bytes == 0 && self.to_line_end {
            let end = piece[whole..].iter().position(|byte| *byte == b'\n');
            passed = end.map_or(piece.len(), |end| whole + end + 1);
            self.to_line_end = end.is_none();
        }
        shown.start += passed as u64;
        #[expect(clippy::naive_bytecount, reason = "once for a trace of many megabytes")]
        let lines = piece[..passed].iter().filter(|byte| **byte == b'\n').count();
        shown.lines += lines as u64;
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::TryStreamExt as _;

    async fn page(trace: &'static [u8], pieces: usize, complete: bool) -> (String, Shown) {
        let (told, shown) = std::sync::mpsc::channel();
        let around = Around {
            before: "[".to_owned(),
            after: Box::new(move |shown| {
                told.send(shown).unwrap();
                "]".to_owned()
            }),
            complete,
        };
        let body =
            futures_util::stream::iter(trace.chunks(pieces).map(|it| Ok(Bytes::from_static(it)))).boxed();
        let reader = Reader { size: trace.len() as u64, body };
        let html: Vec<Bytes> = Box::pin(stream(reader, around)).try_collect().await.unwrap();
        (String::from_utf8(html.concat()).unwrap(), shown.recv().unwrap())
    }

    #[tokio::test]
    async fn a_trace_stands_between_what_is_around_it() {
        let (html, shown) = page(b"section_start:1:a\r\x1b[0KA\nb\nc", 2, false).await;
        assert!(html.starts_with("[<details") && html.ends_with("</div></div></details>]"), "{html}");
        assert_eq!(shown, Shown { start: 0, lines: 0, items: 2 }, "the last line may yet change");
        let (html, _) = page(b"b\nc", 2, true).await;
        assert!(html.ends_with("<span>c</span></div>]"), "{html}");
        assert_eq!(page(b"", 2, true).await.0, "[]");
    }

    #[tokio::test]
    async fn of_a_long_trace_the_end_is_shown_with_the_right_numbers() {
        let text = (1..=600_000).map(|n| format!("{n}\n")).collect::<Vec<_>>().concat();
        let text: &'static [u8] = Box::leak(text.into_boxed_str()).as_bytes();
        let (html, shown) = page(text, 100_000, true).await;
        let first = shown.lines + 1;
        assert!(html.starts_with(&format!(
            "[<div class=\"line\" id=\"L{first}\"><a href=\"#L{first}\">{first}</a><span>{first}</span>"
        )));
        assert!(html.contains("id=\"L600000\""));
        assert!(text.len() as u64 - shown.start <= SHOWN && shown.start > 0);
    }
}
