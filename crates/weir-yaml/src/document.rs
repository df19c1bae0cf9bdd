//! Cutting a file into header and content. Source: `lib/gitlab/config/loader/multi_doc_yaml.rb`.

use crate::limits::MAX_DOCUMENTS;

/// One document of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentText<'a> {
    /// The text, without its divider.
    pub text: &'a str,
    /// Where it starts in the file, in bytes.
    pub offset: usize,
}

/// Cuts `text` at the lines that start with `---` and white space. A blank part before the first divider does
/// not count; beyond [`MAX_DOCUMENTS`] the rest stays with the last part.
///
/// The divider takes *all* white space after it, the indentation of the next line included.
pub fn split_documents(text: &str) -> Vec<DocumentText<'_>> {
    let mut documents = Vec::new();
    let (mut start, mut search) = (0, 0);
    while documents.len() < MAX_DOCUMENTS
        && let Some(found) = text[search..].find("---").map(|index| search + index)
    {
        let after = found + 3;
        let rest = &text[after..];
        let content = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
        let at_line_start = found == 0 || text.as_bytes()[found - 1] == b'\n';
        if at_line_start && content.len() < rest.len() {
            documents.push(DocumentText { text: &text[start..found], offset: start });
            start = text.len() - content.len();
            search = start;
        } else {
            search = found + 1;
        }
    }
    documents.push(DocumentText { text: &text[start..], offset: start });
    if documents.first().is_some_and(|first| first.text.trim().is_empty()) {
        documents.remove(0);
    }
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<&str> {
        let documents = split_documents(text);
        assert!(documents.iter().all(|part| text[part.offset..].starts_with(part.text)));
        documents.into_iter().map(|part| part.text).collect()
    }

    #[test]
    fn dividers_stand_at_the_start_of_a_line_and_take_the_white_space_after_them() {
        for (text, expected) in [
            ("", &[][..]),
            ("a: 1\n", &["a: 1\n"]),
            ("---\na: 1\n", &["a: 1\n"]),
            ("spec:\n---\na: 1\n", &["spec:\n", "a: 1\n"]),
            ("---\nspec:\n---\n  a: 1\n", &["spec:\n", "a: 1\n"]),
            ("a: ---\nb: 1 --- 2\n---c: 1\n", &["a: ---\nb: 1 --- 2\n---c: 1\n"]),
            ("a\n--- b\n", &["a\n", "b\n"]),
            ("a\n---\nb\n---\nc\n---\nd\n", &["a\n", "b\n", "c\n---\nd\n"]),
            ("a\n---", &["a\n---"]),
            ("a\n---\n", &["a\n", ""]),
        ] {
            assert_eq!(parts(text), expected, "{text:?}");
        }
    }
}
