//! References: what a name means, lists of branches and tags, changes in one transaction.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::ops::Range;

use crate::error::{Conflict, Error, What};
use crate::limits::{MAX_METADATA_BYTES, MAX_REFS};
use crate::names::{BranchName, ObjectId, RefName, TagName};
use crate::objects::{Annotation, Commit, Signature};
use crate::reader::{ObjectKind, Reader};
use crate::ref_files::{has_branches, read_ref};
use crate::repositories::{Repository, blocking};

/// What a revision turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The commit, behind an annotated tag if need be.
    pub commit: ObjectId,
    /// The reference's full name; `None` for a bare commit.
    pub name: Option<RefName>,
}

impl Resolved {
    /// Whether a tag was named.
    pub fn is_tag(&self) -> bool {
        self.name.as_ref().is_some_and(|name| name.tag().is_some())
    }

    /// Whether a branch was named.
    pub fn is_branch(&self) -> bool {
        self.name.as_ref().is_some_and(|name| name.branch().is_some())
    }
}

/// A branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Its short name.
    pub name: BranchName,
    /// Its newest commit.
    pub commit: Commit,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its short name.
    pub name: TagName,
    /// What the reference holds: the tag object of an annotated tag, else the commit. GitLab's `target`.
    pub target: ObjectId,
    /// The commit behind it; `None` for a tag of a file or directory.
    pub commit: Option<Commit>,
    /// What an annotated tag says; its date is GitLab's `created_at`.
    pub annotation: Option<Annotation>,
}

/// One page of a list and the length of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// The items of the page.
    pub items: Vec<T>,
    /// How many there are on all pages.
    pub total: usize,
}

/// The order of branches and tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RefOrder {
    /// By name.
    #[default]
    Name,
    /// By name, backwards.
    NameDescending,
    /// By date, oldest first.
    Updated,
    /// By date, newest first.
    UpdatedDescending,
    /// By version numbers in the name.
    Version,
    /// By version numbers in the name, highest first.
    VersionDescending,
}

impl RefOrder {
    fn sort_key(self) -> &'static str {
        match self {
            Self::Name => "--sort=refname",
            Self::NameDescending => "--sort=-refname",
            Self::Updated => "--sort=creatordate",
            Self::UpdatedDescending => "--sort=-creatordate",
            Self::Version => "--sort=version:refname",
            Self::VersionDescending => "--sort=-version:refname",
        }
    }
}

/// One change of a reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RefUpdate {
    /// What it holds before: [`ObjectId::zero`] if it is new.
    pub old: ObjectId,
    /// What it holds afterwards: [`ObjectId::zero`] if it is deleted.
    pub new: ObjectId,
    /// The reference.
    pub name: RefName,
}

impl Repository {
    /// The default branch, which `HEAD` names; it need not exist.
    pub async fn default_branch(&self) -> Result<Option<BranchName>, Error> {
        let path = self.path().to_owned();
        blocking(move || match std::fs::read_to_string(path.join("HEAD")) {
            Ok(head) => {
                let name = head.strip_prefix("ref: ").map(str::trim_end);
                Ok(name.and_then(|name| RefName::new(name).ok()).and_then(|name| name.branch()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::NoRepository),
            Err(error) => Err(error.into()),
        })
        .await
    }

    /// Makes a branch the default one, whether it exists or not.
    pub async fn set_default_branch(&self, branch: &BranchName) -> Result<(), Error> {
        self.git("symbolic-ref").args(["HEAD", branch.to_ref().as_str()]).output().await?;
        Ok(())
    }

    /// Whether it has no branch at all, GitLab's `empty_repo`.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        if !self.exists().await {
            return Err(Error::NoRepository);
        }
        let path = self.path().to_owned();
        blocking(move || Ok(!has_branches(&path)?)).await
    }

    /// What a reference holds: a commit or, for an annotated tag, the tag object.
    pub async fn read_ref(&self, name: &RefName) -> Result<Option<ObjectId>, Error> {
        let (path, name) = (self.path().to_owned(), name.as_str().to_owned());
        blocking(move || read_ref(&path, name)).await
    }

    /// Whether a branch exists.
    pub async fn branch_exists(&self, name: &BranchName) -> Result<bool, Error> {
        Ok(self.read_ref(&name.to_ref()).await?.is_some())
    }

    /// Whether a tag exists.
    pub async fn tag_exists(&self, name: &TagName) -> Result<bool, Error> {
        Ok(self.read_ref(&name.to_ref()).await?.is_some())
    }

    /// The commit that a revision means, in Git's order: a whole object name, `HEAD`, a full reference name, a tag,
    /// a branch, the beginning of an object name; each may end in `~N` and `^N`. `None` if it means nothing.
    pub async fn resolve(&self, revision: &str) -> Result<Option<Resolved>, Error> {
        let split = revision.find(['~', '^']).unwrap_or(revision.len());
        let (base, suffix) = revision.split_at(split);
        if !suffix.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'~' | b'^'))
            || suffix.len() > 32
        {
            return Ok(None);
        }
        let mut reader = self.reader().await?;
        let (object, name) = if let Ok(id) = ObjectId::new(base) {
            (id.into(), None)
        } else if let Some((name, id)) = self.find_ref(base).await? {
            (id.into(), Some(name))
        } else if matches!(base.len(), 4..40) && base.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            (base.to_owned(), None)
        } else {
            return Ok(None);
        };
        let commit = reader.info(&format!("{object}{suffix}^{{commit}}")).await?;
        let name = name.filter(|_| suffix.is_empty());
        Ok(commit.map(|info| Resolved { commit: info.id, name }))
    }

    /// The branch or tag that a pipeline is asked for; short or full name.
    ///
    /// # Errors
    /// [`Error::AmbiguousRef`] if a short name is both (`lib/gitlab/ci/pipeline/chain/validate/repository.rb`).
    pub async fn resolve_ref(&self, name: &str) -> Result<Option<Resolved>, Error> {
        let full = if name.starts_with("refs/") {
            RefName::new(name).ok()
        } else {
            let (branch, tag) = (BranchName::new(name).ok(), TagName::new(name).ok());
            let (Some(branch), Some(tag)) = (branch, tag) else { return Ok(None) };
            match (self.branch_exists(&branch).await?, self.tag_exists(&tag).await?) {
                (true, true) => return Err(Error::AmbiguousRef),
                (true, false) => Some(branch.to_ref()),
                (false, true) => Some(tag.to_ref()),
                (false, false) => None,
            }
        };
        let Some(full) = full else { return Ok(None) };
        let mut reader = self.reader().await?;
        let Some(id) = self.read_ref(&full).await? else { return Ok(None) };
        let commit = reader.info(&format!("{id}^{{commit}}")).await?;
        Ok(commit.map(|info| Resolved { commit: info.id, name: Some(full) }))
    }

    async fn find_ref(&self, name: &str) -> Result<Option<(RefName, ObjectId)>, Error> {
        if name == "HEAD" || name == "@" {
            let Some(branch) = self.default_branch().await? else { return Ok(None) };
            let name = branch.to_ref();
            return Ok(self.read_ref(&name).await?.map(|id| (name, id)));
        }
        for prefix in ["", "refs/", "refs/tags/", "refs/heads/"] {
            let Ok(name) = RefName::new(format!("{prefix}{name}")) else { continue };
            if let Some(id) = self.read_ref(&name).await? {
                return Ok(Some((name, id)));
            }
        }
        Ok(None)
    }

    /// One branch.
    pub async fn branch(&self, name: &BranchName) -> Result<Branch, Error> {
        let mut reader = self.reader().await?;
        let id = self.read_ref(&name.to_ref()).await?.ok_or(Error::NotFound(What::Branch))?;
        let commit = read_commit(&mut reader, &id).await?.ok_or(Error::NotFound(What::Branch))?;
        Ok(Branch { name: name.clone(), commit })
    }

    /// The branches whose name fits `search`, a part of the name, `^beginning` or `end$`, in any letter case
    /// (`app/finders/git_refs_finder.rb`).
    pub async fn branches(
        &self,
        search: Option<&str>,
        order: RefOrder,
        page: Range<usize>,
    ) -> Result<Listing<Branch>, Error> {
        let all = self.list_refs("refs/heads/", search, order).await?;
        let mut reader = self.reader().await?;
        let (total, mut items) = (all.len(), Vec::new());
        for (name, id) in page_of(all, page) {
            if let (Some(name), Some(commit)) = (name.branch(), read_commit(&mut reader, &id).await?) {
                items.push(Branch { name, commit });
            }
        }
        Ok(Listing { items, total })
    }

    /// The names of the branches that this commit already holds.
    pub async fn branches_merged_into(&self, commit: &ObjectId) -> Result<HashSet<BranchName>, Error> {
        let merged = format!("--merged={commit}");
        let output =
            self.git("for-each-ref").args([&merged, "--format=%(refname)", "refs/heads/"]).output().await?;
        Ok(lines(&output).filter_map(|name| RefName::trusted(name).branch()).collect())
    }

    /// One tag.
    pub async fn tag(&self, name: &TagName) -> Result<Tag, Error> {
        let mut reader = self.reader().await?;
        let id = self.read_ref(&name.to_ref()).await?.ok_or(Error::NotFound(What::Tag))?;
        read_tag(&mut reader, name.clone(), id).await
    }

    /// The tags whose name fits `search`, as for [`Repository::branches`].
    pub async fn tags(
        &self,
        search: Option<&str>,
        order: RefOrder,
        page: Range<usize>,
    ) -> Result<Listing<Tag>, Error> {
        let all = self.list_refs("refs/tags/", search, order).await?;
        let mut reader = self.reader().await?;
        let (total, mut items) = (all.len(), Vec::new());
        for (name, id) in page_of(all, page) {
            if let Some(name) = name.tag() {
                items.push(read_tag(&mut reader, name, id).await?);
            }
        }
        Ok(Listing { items, total })
    }

    /// Where a branch or tag stands in the list of its kind, from 0: the page after it begins one further.
    pub async fn ref_position(
        &self,
        name: &RefName,
        search: Option<&str>,
        order: RefOrder,
    ) -> Result<Option<usize>, Error> {
        let prefix = if name.tag().is_some() { "refs/tags/" } else { "refs/heads/" };
        let all = self.list_refs(prefix, search, order).await?;
        Ok(all.iter().position(|(other, _)| other == name))
    }

    /// The branches and tags from which a commit can be reached.
    pub async fn refs_containing(&self, commit: &ObjectId) -> Result<Vec<RefName>, Error> {
        let contains = format!("--contains={commit}");
        let args = [&contains, "--format=%(refname)", "refs/heads/", "refs/tags/"];
        let output = self.git("for-each-ref").args(args).output().await?;
        Ok(lines(&output).map(RefName::trusted).collect())
    }

    async fn list_refs(
        &self,
        prefix: &str,
        search: Option<&str>,
        order: RefOrder,
    ) -> Result<Vec<(RefName, ObjectId)>, Error> {
        if !self.exists().await {
            return Err(Error::NoRepository);
        }
        let args = [order.sort_key(), "--format=%(objectname) %(refname)", prefix];
        let output = self.git("for-each-ref").args(args).output().await?;
        let mut refs = Vec::new();
        for line in lines(&output) {
            let Some((id, name)) = line.split_once(' ') else { continue };
            if search.is_none_or(|search| fits(name.strip_prefix(prefix).unwrap_or_default(), search)) {
                if refs.len() >= MAX_REFS {
                    return Err(Error::TooLarge { what: "number of references", limit: MAX_REFS as u64 });
                }
                refs.push((RefName::trusted(name.to_owned()), ObjectId::new(id)?));
            }
        }
        Ok(refs)
    }

    /// Applies changes to references, all of them or none. Each `old` must still hold.
    ///
    /// # Errors
    /// [`Conflict::RefMoved`] if a reference holds something else than expected.
    pub async fn update_refs(&self, updates: &[RefUpdate]) -> Result<(), Error> {
        let input = updates.iter().map(|update| {
            if update.new.is_zero() {
                format!("delete {}\0{}\0", update.name, update.old)
            } else {
                format!("update {}\0{}\0{}\0", update.name, update.new, update.old)
            }
        });
        self.run_update_ref(&input.collect::<Vec<_>>().concat()).await
    }

    /// Points references, such as [`RefName::pipeline`] and [`RefName::keep_around`], at objects, whatever they held
    /// before; all of them or none.
    pub async fn set_refs(&self, refs: &[(RefName, ObjectId)]) -> Result<(), Error> {
        let input = refs.iter().map(|(name, id)| format!("update {name}\0{id}\0\0"));
        self.run_update_ref(&input.collect::<Vec<_>>().concat()).await
    }

    /// Deletes references, whatever they hold; one that does not exist is no error.
    pub async fn delete_refs(&self, names: &[RefName]) -> Result<(), Error> {
        let input = names.iter().map(|name| format!("delete {name}\0\0"));
        self.run_update_ref(&input.collect::<Vec<_>>().concat()).await
    }

    async fn run_update_ref(&self, input: &str) -> Result<(), Error> {
        if input.is_empty() {
            return Ok(());
        }
        let (_, ended) =
            self.git("update-ref").args(["--stdin", "-z"]).finish_with_input(input.as_bytes()).await?;
        if ended.code() == Some(0) {
            return Ok(());
        }
        // `cannot lock ref 'refs/heads/a': is at … but expected …`
        match ended.stderr.split_once("cannot lock ref '").and_then(|(_, rest)| rest.split_once('\'')) {
            Some((name, _)) => Err(Conflict::RefMoved(name.to_owned()).into()),
            None => Err(ended.into_error()),
        }
    }

    /// Applies one change to a branch or tag and tells in GitLab's words why it cannot be.
    ///
    /// # Errors
    /// [`Conflict::BranchExists`], [`Conflict::BranchHierarchy`], [`Conflict::TagExists`], [`Conflict::RefMoved`].
    pub async fn move_ref(&self, update: &RefUpdate) -> Result<(), Error> {
        let moved = self.update_refs(std::slice::from_ref(update)).await;
        let Err(Error::Conflict(Conflict::RefMoved(_))) = moved else { return moved };
        if !update.old.is_zero() {
            return moved;
        }
        match (update.name.branch(), update.name.tag()) {
            (Some(branch), _) if self.branch_exists(&branch).await? => Err(Conflict::BranchExists.into()),
            (Some(branch), _) => Err(Conflict::BranchHierarchy(branch.to_string()).into()),
            (None, Some(tag)) => Err(Conflict::TagExists(tag.to_string()).into()),
            (None, None) => moved,
        }
    }

    /// Creates a branch at a revision.
    ///
    /// # Errors
    /// [`Conflict::BranchExists`], [`Conflict::BranchTarget`], [`Conflict::BranchHierarchy`].
    pub async fn create_branch(&self, name: &BranchName, from: &str) -> Result<Branch, Error> {
        let update = self.prepare_branch(name, from).await?;
        self.move_ref(&update).await?;
        self.branch(name).await
    }

    /// The change that would create a branch at a revision, for [`Repository::move_ref`].
    ///
    /// # Errors
    /// [`Conflict::BranchExists`], [`Conflict::BranchTarget`].
    pub async fn prepare_branch(&self, name: &BranchName, from: &str) -> Result<RefUpdate, Error> {
        if self.branch_exists(name).await? {
            return Err(Conflict::BranchExists.into());
        }
        match self.resolve(from).await? {
            Some(resolved) => {
                Ok(RefUpdate { old: ObjectId::zero(), new: resolved.commit, name: name.to_ref() })
            }
            None => Err(Conflict::BranchTarget { name: name.to_string(), from: from.to_owned() }.into()),
        }
    }

    /// Deletes a branch and returns what it held.
    pub async fn delete_branch(&self, name: &BranchName) -> Result<ObjectId, Error> {
        self.delete_ref(name.to_ref(), What::Branch).await
    }

    /// Creates a tag at a revision; annotated if there is a message.
    ///
    /// # Errors
    /// [`Conflict::TagExists`], [`Conflict::TagTarget`].
    pub async fn create_tag(
        &self,
        name: &TagName,
        target: &str,
        annotation: Option<(&str, &Signature)>,
    ) -> Result<Tag, Error> {
        let update = self.prepare_tag(name, target, annotation).await?;
        self.move_ref(&update).await?;
        self.tag(name).await
    }

    /// The change that would create a tag, for [`Repository::move_ref`]; an annotation's object is made already.
    ///
    /// # Errors
    /// [`Conflict::TagExists`], [`Conflict::TagTarget`].
    pub async fn prepare_tag(
        &self,
        name: &TagName,
        target: &str,
        annotation: Option<(&str, &Signature)>,
    ) -> Result<RefUpdate, Error> {
        if self.tag_exists(name).await? {
            return Err(Conflict::TagExists(name.to_string()).into());
        }
        let Some(resolved) = self.resolve(target).await? else {
            return Err(Conflict::TagTarget(target.to_owned()).into());
        };
        let new = match annotation {
            None => resolved.commit,
            Some((message, tagger)) => {
                let (commit, tagger) = (resolved.commit, tagger.to_git());
                let message = message.trim().replace('\0', "");
                let object =
                    format!("object {commit}\ntype commit\ntag {name}\ntagger {tagger}\n\n{message}\n");
                let id = self.git("mktag").output_with_input(object.as_bytes()).await?;
                ObjectId::new(String::from_utf8_lossy(&id).trim())?
            }
        };
        Ok(RefUpdate { old: ObjectId::zero(), new, name: name.to_ref() })
    }

    /// Deletes a tag and returns what it held.
    pub async fn delete_tag(&self, name: &TagName) -> Result<ObjectId, Error> {
        self.delete_ref(name.to_ref(), What::Tag).await
    }

    async fn delete_ref(&self, name: RefName, what: What) -> Result<ObjectId, Error> {
        let old = self.read_ref(&name).await?.ok_or(Error::NotFound(what))?;
        self.update_refs(&[RefUpdate { old: old.clone(), new: ObjectId::zero(), name }]).await?;
        Ok(old)
    }
}

/// Whether a name fits a search as GitLab's finder reads it.
fn fits(name: &str, search: &str) -> bool {
    let (name, search) = (name.to_lowercase(), search.to_lowercase());
    match (search.strip_prefix('^'), search.strip_suffix('$')) {
        (Some(beginning), _) => name.starts_with(beginning),
        (None, Some(end)) => name.ends_with(end),
        (None, None) => name.contains(&search),
    }
}

fn page_of<T>(all: Vec<T>, page: Range<usize>) -> impl Iterator<Item = T> {
    all.into_iter().skip(page.start).take(page.len())
}

pub(crate) fn lines(output: &[u8]) -> impl Iterator<Item = String> {
    output
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| String::from_utf8_lossy(line).into())
}

/// Reads the commit with this name or behind the tag object with this name.
pub(crate) async fn read_commit(reader: &mut Reader, id: &ObjectId) -> Result<Option<Commit>, Error> {
    let found = reader.contents(&format!("{id}^{{commit}}"), MAX_METADATA_BYTES).await?;
    found.map(|(info, content)| Commit::parse(info.id, &content)).transpose()
}

async fn read_tag(reader: &mut Reader, name: TagName, target: ObjectId) -> Result<Tag, Error> {
    let object =
        reader.contents(target.as_str(), MAX_METADATA_BYTES).await?.ok_or(Error::NotFound(What::Tag))?;
    let (commit, annotation) = match (object.0.kind, &object.1) {
        (ObjectKind::Commit, content) => (Some(Commit::parse(target.clone(), content)?), None),
        (ObjectKind::Tag, content) => {
            let annotation = Annotation::parse(target.clone(), content)?;
            (read_commit(reader, &target).await?, Some(annotation))
        }
        (ObjectKind::Tree | ObjectKind::Blob, _) => (None, None),
    };
    Ok(Tag { name, target, commit, annotation })
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_search_may_be_anchored_at_one_end() {
        for (name, search, expected) in [
            ("feature/Login", "login", true),
            ("feature/login", "^feature", true),
            ("a/feature", "^feature", false),
            ("a/feature", "feature$", true),
            ("feature/a", "FEATURE$", false),
            ("main", "", true),
        ] {
            assert_eq!(fits(name, search), expected, "{name} {search}");
        }
    }
}
