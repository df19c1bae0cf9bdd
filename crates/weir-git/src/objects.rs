//! Commits, tags and trees as they are stored.

use weir_api::Timestamp;
use weir_api::commits::CommitDate;

use crate::error::Error;
use crate::limits::MAX_TRAILERS;
use crate::names::ObjectId;

/// Who did something, and when by their clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name.
    pub name: String,
    /// The mail address.
    pub email: String,
    /// Seconds since 1970 in UTC.
    pub seconds: i64,
    /// The offset of their clock from UTC, in minutes.
    pub offset_minutes: i32,
}

impl Signature {
    /// A signature in UTC.
    pub fn new(name: impl Into<String>, email: impl Into<String>, at: Timestamp) -> Self {
        Self { name: name.into(), email: email.into(), seconds: at.as_secs(), offset_minutes: 0 }
    }

    /// The date as the API writes it, with its own offset.
    pub fn date(&self) -> CommitDate {
        CommitDate::from_git(self.seconds, self.offset_minutes)
    }

    /// The point in time.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_micros(self.seconds.saturating_mul(1_000_000))
    }

    /// As it stands in an object; characters that would end the field are left out, as Git does.
    pub(crate) fn to_git(&self) -> String {
        let clean = |text: &str| -> String {
            let kept: String =
                text.chars().filter(|c| !matches!(c, '<' | '>' | '\n' | '\r' | '\0')).collect();
            kept.trim().to_owned()
        };
        let (sign, minutes) =
            if self.offset_minutes < 0 { ('-', -self.offset_minutes) } else { ('+', self.offset_minutes) };
        let (hours, minutes) = (minutes / 60, minutes % 60);
        format!(
            "{} <{}> {} {sign}{hours:02}{minutes:02}",
            clean(&self.name),
            clean(&self.email),
            self.seconds.max(0)
        )
    }

    fn parse(text: &str) -> Self {
        let (name, rest) = text.split_once('<').unwrap_or((text, ""));
        let (email, date) = rest.rsplit_once('>').unwrap_or((rest, ""));
        let mut date = date.split_whitespace();
        let seconds = date.next().and_then(|seconds| seconds.parse().ok()).unwrap_or_default();
        let offset: i32 = date.next().and_then(|offset| offset.parse().ok()).unwrap_or_default();
        Self {
            name: name.trim().to_owned(),
            email: email.trim().to_owned(),
            seconds,
            offset_minutes: offset / 100 * 60 + offset % 100,
        }
    }
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its name.
    pub id: ObjectId,
    /// The directory that it holds.
    pub tree: ObjectId,
    /// The commits before it.
    pub parents: Vec<ObjectId>,
    /// Who wrote it.
    pub author: Signature,
    /// Who committed it.
    pub committer: Signature,
    /// The whole message; bytes that are not UTF-8 are replaced.
    pub message: String,
}

impl Commit {
    /// The first line of the message. GitLab calls a message without one "no commit message".
    pub fn title(&self) -> &str {
        let title = self.message.trim_start().lines().next().unwrap_or_default().trim_end();
        if title.is_empty() { "--no commit message" } else { title }
    }

    /// The trailers of the message, `Signed-off-by: …`, in order; a name may occur again.
    pub fn trailers(&self) -> Vec<(String, String)> {
        trailers(&self.message)
    }

    pub(crate) fn parse(id: ObjectId, content: &[u8]) -> Result<Self, Error> {
        let text = String::from_utf8_lossy(content);
        let (headers, message) = text.split_once("\n\n").unwrap_or((&text, ""));
        let (mut tree, mut parents, mut author, mut committer) = (None, Vec::new(), None, None);
        for header in headers.lines() {
            match header.split_once(' ') {
                Some(("tree", id)) => tree = Some(ObjectId::new(id)?),
                Some(("parent", id)) => parents.push(ObjectId::new(id)?),
                Some(("author", text)) => author = author.or_else(|| Some(Signature::parse(text))),
                Some(("committer", text)) => committer = committer.or_else(|| Some(Signature::parse(text))),
                _ => {}
            }
        }
        match (tree, author, committer) {
            (Some(tree), Some(author), Some(committer)) => {
                Ok(Self { id, tree, parents, author, committer, message: message.to_owned() })
            }
            _ => Err(Error::Unexpected(format!("the commit {id} is damaged"))),
        }
    }
}

/// What an annotated tag says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// The tag object's name.
    pub id: ObjectId,
    /// The object that it names, in most cases a commit.
    pub object: ObjectId,
    /// Who tagged it; very old tags do not say.
    pub tagger: Option<Signature>,
    /// The message, without the final newline and a signature.
    pub message: String,
}

impl Annotation {
    pub(crate) fn parse(id: ObjectId, content: &[u8]) -> Result<Self, Error> {
        let text = String::from_utf8_lossy(content);
        let (headers, message) = text.split_once("\n\n").unwrap_or((&text, ""));
        let (mut object, mut tagger) = (None, None);
        for header in headers.lines() {
            match header.split_once(' ') {
                Some(("object", id)) => object = Some(ObjectId::new(id)?),
                Some(("tagger", text)) => tagger = Some(Signature::parse(text)),
                _ => {}
            }
        }
        let message = message.split("-----BEGIN ").next().unwrap_or_default().trim_end().to_owned();
        match object {
            Some(object) => Ok(Self { id, object, tagger, message }),
            None => Err(Error::Unexpected(format!("the tag {id} is damaged"))),
        }
    }
}

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A directory, `tree` in the API.
    Tree,
    /// A file or a symbolic link, `blob` in the API.
    Blob,
    /// A submodule, `commit` in the API.
    Submodule,
}

impl EntryKind {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Submodule => "commit",
        }
    }

    pub(crate) fn of_mode(mode: u32) -> Self {
        match mode & 0o170_000 {
            0o040_000 => Self::Tree,
            0o160_000 => Self::Submodule,
            _ => Self::Blob,
        }
    }
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// The object's name.
    pub id: ObjectId,
    /// What it is.
    pub kind: EntryKind,
    /// Its mode, as `0o100_644`.
    pub mode: u32,
    /// Its path from the repository's top; bytes that are not UTF-8 are replaced.
    pub path: String,
}

impl TreeEntry {
    /// The last component of its path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The mode in six octal digits, as the API writes it.
    pub fn mode_text(&self) -> String {
        format!("{:06o}", self.mode)
    }
}

/// Reads a tree object. `id_bytes` is the length of the names in it: 20 or 32.
pub(crate) fn parse_tree(mut content: &[u8], prefix: &str, id_bytes: usize) -> Result<Vec<TreeEntry>, Error> {
    let damaged = || Error::Unexpected("a tree object is damaged".to_owned());
    let mut entries = Vec::new();
    while !content.is_empty() {
        let end = content.iter().position(|byte| *byte == 0).ok_or_else(damaged)?;
        let (head, rest) = content.split_at(end);
        let (id, rest) =
            rest.get(1..).and_then(|rest| rest.split_at_checked(id_bytes)).ok_or_else(damaged)?;
        let head = String::from_utf8_lossy(head);
        let (mode, name) = head.split_once(' ').ok_or_else(damaged)?;
        let mode = u32::from_str_radix(mode, 8).map_err(|_| damaged())?;
        entries.push(TreeEntry {
            id: ObjectId::from_bytes(id),
            kind: EntryKind::of_mode(mode),
            mode,
            path: format!("{prefix}{name}"),
        });
        content = rest;
    }
    Ok(entries)
}

/// The trailers of a message by the rules of `git interpret-trailers`: its last paragraph, if it is not the first
/// one and either holds nothing but trailers, or a quarter of trailers and one that Git itself writes.
fn trailers(message: &str) -> Vec<(String, String)> {
    let message = message.trim_end();
    let Some(start) = last_paragraph(message) else { return Vec::new() };
    let paragraph = message.get(start..).unwrap_or_default();
    let mut found: Vec<(String, String)> = Vec::new();
    let (mut good, mut other, mut from_git, mut after_trailer) = (0, 0, false, false);
    for line in paragraph.lines().take(MAX_TRAILERS) {
        if line.starts_with([' ', '\t']) {
            match found.last_mut() {
                Some((_, value)) if after_trailer => {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                _ => other += 1,
            }
            continue;
        }
        if line.starts_with("(cherry picked from commit ") {
            from_git = true;
            good += 1;
            after_trailer = false;
            continue;
        }
        let trailer = line.split_once(':').filter(|(name, _)| is_trailer_name(name.trim_end()));
        after_trailer = trailer.is_some();
        if let Some((name, value)) = trailer {
            from_git |= line.starts_with("Signed-off-by: ");
            good += 1;
            found.push((name.trim_end().to_owned(), value.trim().to_owned()));
        } else {
            other += 1;
        }
    }
    if other == 0 || (from_git && good * 3 >= other) { found } else { Vec::new() }
}

fn last_paragraph(message: &str) -> Option<usize> {
    let mut start = None;
    let mut offset = 0;
    for line in message.split_inclusive('\n') {
        offset += line.len();
        if line.trim().is_empty() && offset > line.len() {
            start = Some(offset);
        }
    }
    start
}

fn is_trailer_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> ObjectId {
        ObjectId::new(digit.to_string().repeat(40)).unwrap()
    }

    #[test]
    fn a_commit_keeps_dates_with_their_own_offset() {
        let raw = format!(
            "tree {}\nparent {}\nparent {}\nauthor Ada L <ada@example.com> 1700000000 +0530\ncommitter C <c@d> \
             1700000001 -0330\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n abc\n -----END PGP SIGNATURE-----\n\nTitle\n\nBody\n",
            id('a'),
            id('b'),
            id('c')
        );
        let commit = Commit::parse(id('d'), raw.as_bytes()).unwrap();
        assert_eq!(commit.parents, [id('b'), id('c')]);
        assert_eq!(commit.author.name, "Ada L");
        assert_eq!(commit.author.email, "ada@example.com");
        assert_eq!(commit.author.date().as_str(), "2023-11-15T03:43:20.000+05:30");
        assert_eq!(commit.committer.date().as_str(), "2023-11-14T18:43:21.000-03:30");
        assert_eq!(commit.title(), "Title");
        assert_eq!(commit.message, "Title\n\nBody\n");
    }

    #[test]
    fn a_damaged_commit_is_an_error() {
        assert!(Commit::parse(id('d'), b"tree 123\n\nx").is_err());
        assert!(Commit::parse(id('d'), b"").is_err());
    }

    #[test]
    fn a_signature_cannot_break_out_of_its_line() {
        let signature = Signature {
            name: "A <x>\nparent b".to_owned(),
            email: "a@b>\n".to_owned(),
            seconds: 5,
            offset_minutes: -90,
        };
        assert_eq!(signature.to_git(), "A xparent b <a@b> 5 -0130");
    }

    #[test]
    fn trailers_are_the_last_paragraph() {
        let pairs = |message: &str| -> Vec<String> {
            trailers(message).into_iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        assert_eq!(
            pairs("Fix\n\nBody\n\nSigned-off-by: A <a@b>\nChangelog: fixed\n"),
            ["Signed-off-by=A <a@b>", "Changelog=fixed"]
        );
        assert_eq!(pairs("Fix\n\nLong: a\n b\n"), ["Long=a b"]);
        assert_eq!(pairs("Fix: not a trailer"), Vec::<String>::new());
        assert_eq!(pairs("Fix\n\nnot: one\nplain words\nmore\nand more\n"), Vec::<String>::new());
        assert_eq!(pairs("Fix\n\nplain words\nSigned-off-by: A\n"), ["Signed-off-by=A"]);
        assert_eq!(pairs(""), Vec::<String>::new());
    }

    #[test]
    fn a_tree_is_read_entry_by_entry() {
        let mut raw = b"100644 a.txt\0".to_vec();
        raw.extend([0xaa; 20]);
        raw.extend(b"40000 dir\0");
        raw.extend([0xbb; 20]);
        let entries = parse_tree(&raw, "top/", 20).unwrap();
        assert_eq!(entries[0].path, "top/a.txt");
        assert_eq!((entries[1].kind, entries[1].mode_text().as_str()), (EntryKind::Tree, "040000"));
        assert_eq!(entries[1].name(), "dir");
        assert!(parse_tree(&raw[..raw.len() - 1], "", 20).is_err());
        assert!(parse_tree(b"100644", "", 20).is_err());
    }
}
