//! Files and directories of a commit.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

use crate::error::{Error, What};
use crate::limits::{MAX_TREE_BYTES, MAX_TREE_ENTRIES};
use crate::names::{ObjectId, RepoPath};
use crate::objects::{EntryKind, TreeEntry, parse_tree};
use crate::reader::{ObjectInfo, ObjectKind, Reader};
use crate::repositories::Repository;

/// Bytes as they come; nothing holds the whole.
pub type ByteStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// A file of a commit, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// The blob's name.
    pub blob: ObjectId,
    /// Its size in bytes.
    pub size: u64,
    /// Its mode, as `0o100_644`.
    pub mode: u32,
}

impl FileInfo {
    /// Whether it may be executed.
    pub fn is_executable(&self) -> bool {
        self.mode == 0o100_755
    }
}

impl Repository {
    /// The content of a file of a commit, in one exchange with a waiting process; `None` if there is no such file.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if it has more than `limit` bytes.
    pub async fn file_content(
        &self,
        commit: &ObjectId,
        path: &RepoPath,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, Error> {
        let found = self.reader().await?.contents(&format!("{commit}:{path}"), limit).await?;
        Ok(found.filter(|(info, _)| info.kind == ObjectKind::Blob).map(|(_, content)| content))
    }

    /// Name, size and mode of a file of a commit.
    pub async fn file(&self, commit: &ObjectId, path: &RepoPath) -> Result<Option<FileInfo>, Error> {
        let mut reader = self.reader().await?;
        let Some(info) = reader.info(&format!("{commit}:{path}")).await? else { return Ok(None) };
        if info.kind != ObjectKind::Blob {
            return Ok(None);
        }
        let siblings = read_tree(&mut reader, commit, path.parent().as_ref()).await?.unwrap_or_default();
        let entry = siblings.into_iter().find(|entry| entry.path == path.as_str());
        Ok(entry.map(|entry| FileInfo { blob: info.id, size: info.size, mode: entry.mode }))
    }

    /// The content of a file of a commit as a stream, with its name and size.
    pub async fn file_stream(
        &self,
        commit: &ObjectId,
        path: &RepoPath,
    ) -> Result<(ObjectInfo, ByteStream), Error> {
        self.stream(&format!("{commit}:{path}"), What::File).await
    }

    /// The content of a blob as a stream, with its name and size.
    pub async fn blob_stream(&self, blob: &ObjectId) -> Result<(ObjectInfo, ByteStream), Error> {
        self.stream(blob.as_str(), What::Blob).await
    }

    async fn stream(&self, object: &str, what: What) -> Result<(ObjectInfo, ByteStream), Error> {
        let found = self.reader().await?.open(object).await?;
        let Some((info, content)) = found.filter(|(info, _)| info.kind == ObjectKind::Blob) else {
            return Err(Error::NotFound(what));
        };
        let stream = futures_util::stream::try_unfold(content, async |mut content| {
            Ok(content.next().await?.map(|piece| (piece, content)))
        });
        Ok((info, Box::pin(stream)))
    }

    /// The entries of a directory of a commit, or of everything below it: directories first, then files, then
    /// submodules, each by name, as `GET /repository/tree` sorts them.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such directory.
    pub async fn tree(
        &self,
        commit: &ObjectId,
        path: Option<&RepoPath>,
        recursive: bool,
    ) -> Result<Vec<TreeEntry>, Error> {
        let mut reader = self.reader().await?;
        let mut entries = read_tree(&mut reader, commit, path).await?.ok_or(Error::NotFound(What::Tree))?;
        if recursive {
            let treeish = path.map_or_else(|| commit.to_string(), |path| format!("{commit}:{path}"));
            let prefix = path.map(|path| format!("{path}/")).unwrap_or_default();
            let output =
                self.git("ls-tree").args(["-r", "-t", "-z", "--full-tree", &treeish]).output().await?;
            entries = parse_listing(&output, &prefix)?;
        }
        entries.sort_by(|one, other| (one.kind, &one.path).cmp(&(other.kind, &other.path)));
        Ok(entries)
    }

    /// The paths of all files of a commit, for `rules:exists` and wildcard includes.
    pub async fn paths(&self, commit: &ObjectId) -> Result<Vec<String>, Error> {
        let args = ["-r", "-z", "--name-only", "--full-tree", commit.as_str()];
        let output = self.git("ls-tree").args(args).output().await?;
        let names = output.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        let paths: Vec<_> =
            names.take(MAX_TREE_ENTRIES + 1).map(|name| String::from_utf8_lossy(name).into()).collect();
        if paths.len() > MAX_TREE_ENTRIES { Err(too_many()) } else { Ok(paths) }
    }
}

/// Reads one directory; `None` if there is none.
pub(crate) async fn read_tree(
    reader: &mut Reader,
    commit: &ObjectId,
    path: Option<&RepoPath>,
) -> Result<Option<Vec<TreeEntry>>, Error> {
    let (object, prefix) = match path {
        Some(path) => (format!("{commit}:{path}"), format!("{path}/")),
        None => (format!("{commit}^{{tree}}"), String::new()),
    };
    match reader.info(&object).await? {
        Some(info) if info.kind == ObjectKind::Tree => {
            let content = reader.contents(info.id.as_str(), MAX_TREE_BYTES).await?;
            let content = content.ok_or(Error::NotFound(What::Tree))?.1;
            parse_tree(&content, &prefix, info.id.as_str().len() / 2).map(Some)
        }
        _ => Ok(None),
    }
}

/// Reads `<mode> <kind> <id>TAB<path>NUL`.
fn parse_listing(output: &[u8], prefix: &str) -> Result<Vec<TreeEntry>, Error> {
    let mut entries = Vec::new();
    for line in output.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        if entries.len() >= MAX_TREE_ENTRIES {
            return Err(too_many());
        }
        let line = String::from_utf8_lossy(line);
        let parsed = line.split_once('\t').and_then(|(head, path)| {
            let mut words = head.split(' ');
            let mode = u32::from_str_radix(words.next()?, 8).ok()?;
            Some((mode, words.nth(1)?, path))
        });
        let Some((mode, id, path)) = parsed else {
            return Err(Error::Unexpected("ls-tree printed an unknown line".to_owned()));
        };
        let (id, path) = (ObjectId::new(id)?, format!("{prefix}{path}"));
        entries.push(TreeEntry { id, kind: EntryKind::of_mode(mode), mode, path });
    }
    Ok(entries)
}

fn too_many() -> Error {
    Error::TooLarge { what: "number of files", limit: MAX_TREE_ENTRIES as u64 }
}
