//! Which files of a project belong to an archive, and ZIP archives of them.
//!
//! Source: `commands/helpers/file_archiver.go` and `commands/helpers/archive` of gitlab-runner.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use globset::{GlobBuilder, GlobMatcher};
use zip::extra_fields::ExtraField;
use zip::write::{FullFileOptions, SimpleFileOptions};
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::limits;
use crate::trace::{Level, Trace};

/// The extra field of Info-ZIP that holds the time of the last change in seconds.
const EXTENDED_TIMESTAMP: u16 = 0x5455;

/// What went wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// Files could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The archive is no ZIP archive, or a damaged one.
    #[error("the archive cannot be read: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// An entry would be written outside of the project.
    #[error("the archive holds `{0}`, which is outside of the project")]
    Outside(String),
    /// Too many entries.
    #[error("the archive holds {0} entries, more than the limit of {limit}", limit = limits::ARCHIVE_ENTRIES)]
    TooManyEntries(usize),
    /// Several files for one raw upload.
    #[error("only one file can be sent as raw")]
    TooManyRawFiles,
}

/// Which files to take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selection<'a> {
    /// Patterns of files and folders, relative to the project. A folder means all within.
    pub(crate) paths: &'a [String],
    /// Patterns of what to leave out; each file must match by itself.
    pub(crate) exclude: &'a [String],
    /// Files that Git does not track, relative to the project; `None` if they are not wanted.
    pub(crate) untracked: Option<&'a [String]>,
}

/// The files and folders in the project folder `root` that `selection` names, as sorted relative paths.
///
/// Links are taken as links and never followed. What was found and what not is said in `trace`.
pub(crate) fn collect(root: &Path, selection: Selection<'_>, trace: &Trace) -> BTreeSet<String> {
    let exclude: Vec<(&String, Pattern)> = selection
        .exclude
        .iter()
        .filter_map(|pattern| match Pattern::new(root, pattern) {
            Ok(parsed) => Some((pattern, parsed)),
            Err(problem) => {
                trace.report(Level::Warning, format_args!("isExcluded: {problem}"));
                None
            }
        })
        .collect();
    let mut found = Found { exclude, excluded: BTreeMap::new(), files: BTreeSet::new() };

    for path in selection.paths {
        if path.is_empty() {
            trace.report(Level::Warning, "No matching files. Path is empty.");
            continue;
        }
        let count = match Pattern::new(root, path) {
            Ok(pattern) => found.take_matches(root, &pattern),
            Err(problem) => {
                trace.report(Level::Warning, format_args!("processPath: {problem}"));
                continue;
            }
        };
        if count == 0 {
            let root = root.display();
            trace.report(
                Level::Warning,
                format_args!(
                    "{path}: no matching files. Ensure that the artifact path is relative to the working directory ({root})"
                ),
            );
        } else {
            trace.report(
                Level::Info,
                format_args!("{path}: found {count} matching artifact files and directories"),
            );
        }
    }
    if let Some(untracked) = selection.untracked {
        let count = untracked
            .iter()
            .filter(|path| root.join(path).symlink_metadata().is_ok())
            .filter(|path| found.take(path))
            .count();
        if count == 0 {
            trace.report(Level::Warning, "untracked: no files");
        } else {
            trace.report(Level::Info, format_args!("untracked: found {count} files"));
        }
    }
    for (pattern, count) in &found.excluded {
        trace.report(Level::Info, format_args!("{pattern}: excluded {count} files"));
    }
    found.files
}

struct Found<'a> {
    exclude: Vec<(&'a String, Pattern)>,
    excluded: BTreeMap<&'a String, usize>,
    files: BTreeSet<String>,
}

impl Found<'_> {
    fn take(&mut self, path: &str) -> bool {
        if let Some((pattern, _)) = self.exclude.iter().find(|(_, pattern)| pattern.matches(path)) {
            *self.excluded.entry(pattern).or_default() += 1;
            return false;
        }
        self.files.insert(path.to_owned());
        true
    }

    /// Takes what matches, and of folders all that is within.
    fn take_matches(&mut self, root: &Path, pattern: &Pattern) -> usize {
        let mut count = 0;
        let mut within: Option<PathBuf> = None;
        // The base itself must be in the project, also if a link stands on the way.
        let base = root.join(&pattern.base);
        let is_inside = match (base.parent().map(Path::canonicalize), root.canonicalize()) {
            (Some(Ok(parent)), Ok(root)) => pattern.base.is_empty() || parent.starts_with(root),
            _ => false,
        };
        if !is_inside {
            return 0;
        }
        for entry in walkdir::WalkDir::new(&base)
            .follow_links(false)
            .follow_root_links(false)
            .sort_by_file_name()
            .into_iter()
            .flatten()
        {
            let Ok(relative) = entry.path().strip_prefix(root) else { continue };
            let Some(path) = relative.to_str() else { continue };
            if within.as_ref().is_none_or(|folder| !entry.path().starts_with(folder)) {
                if !pattern.matches(path) {
                    continue;
                }
                within = entry.file_type().is_dir().then(|| entry.path().to_path_buf());
            }
            let name = if path.is_empty() { "." } else { path };
            if self.take(name) {
                count += 1;
            }
        }
        count
    }
}

/// One pattern: the folder where it begins, and what must match below.
struct Pattern {
    base: String,
    globs: Vec<GlobMatcher>,
}

impl Pattern {
    /// Reads `pattern`, relative to `root` or absolute within it.
    fn new(root: &Path, pattern: &str) -> Result<Self, String> {
        let is_glob = |segment: &str| segment.contains(['*', '?', '[', '{']);
        let path = match Path::new(pattern).strip_prefix(root) {
            Ok(inside) => inside.to_str().unwrap_or_default(),
            Err(_) if pattern.starts_with('/') => return Err(outside(pattern)),
            Err(_) => pattern,
        };
        let mut segments: Vec<&str> = Vec::new();
        let mut base_length = None;
        for segment in path.split('/') {
            match segment {
                "" | "." => {}
                ".." if base_length.is_none() => {
                    segments.pop().ok_or_else(|| outside(pattern))?;
                }
                ".." => return Err(outside(pattern)),
                _ => {
                    if is_glob(segment) && base_length.is_none() {
                        base_length = Some(segments.len());
                    }
                    segments.push(segment);
                }
            }
        }
        let Some(base_length) = base_length else {
            return Ok(Self { base: segments.join("/"), globs: Vec::new() });
        };
        let mut texts = vec![segments.join("/")];
        // In doublestar `a/**` is also `a` itself.
        if segments.last() == Some(&"**") && segments.len() > 1 {
            texts.push(segments[..segments.len() - 1].join("/"));
        }
        let globs = texts
            .iter()
            .map(|text| GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build())
            .map(|glob| glob.map(|glob| glob.compile_matcher()))
            .collect::<Result<_, _>>()
            .map_err(|error| format!("{pattern}: {error}"))?;
        Ok(Self { base: segments[..base_length].join("/"), globs })
    }

    fn matches(&self, path: &str) -> bool {
        if self.globs.is_empty() {
            path == self.base || (path == "." && self.base.is_empty())
        } else {
            !path.is_empty() && self.globs.iter().any(|glob| glob.is_match(path))
        }
    }
}

fn outside(pattern: &str) -> String {
    format!("artifact path is not a subpath of project directory: {pattern}")
}

/// Writes `files` of the folder `root` as a ZIP archive. Modes, times of change and links are kept.
pub(crate) fn write_zip(target: &Path, root: &Path, files: &BTreeSet<String>) -> Result<(), ArchiveError> {
    let mut zip = ZipWriter::new(BufWriter::new(File::create(target)?));
    for name in files.iter().filter(|name| *name != ".") {
        let path = root.join(name);
        let metadata = match path.symlink_metadata() {
            Ok(metadata) => metadata,
            // A file that went away meanwhile is as one that was not found.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let mut options: FullFileOptions<'_, '_> = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .unix_permissions(metadata.mode() & 0o7777)
            .large_file(metadata.len() > u64::from(u32::MAX) / 2)
            .into_full_options();
        if let Ok(seconds) = u32::try_from(metadata.mtime()) {
            let mut field = vec![1];
            field.extend_from_slice(&seconds.to_le_bytes());
            options.add_extra_field(EXTENDED_TIMESTAMP, field, false)?;
        }
        if metadata.is_symlink() {
            let link = fs::read_link(&path)?;
            zip.add_symlink(name, link.to_string_lossy(), options)?;
        } else if metadata.is_dir() {
            zip.add_directory(name, options)?;
        } else if metadata.is_file() {
            zip.start_file(name, options)?;
            io::copy(&mut BufReader::with_capacity(limits::READ_BYTES, File::open(&path)?), &mut zip)?;
        }
    }
    zip.finish()?.flush()?;
    Ok(())
}

/// Writes `files` of the folder `root` as gzip streams, one after the other.
pub(crate) fn write_gzip(target: &Path, root: &Path, files: &BTreeSet<String>) -> Result<(), ArchiveError> {
    let mut output = BufWriter::new(File::create(target)?);
    for name in files {
        let path = root.join(name);
        let metadata = path.symlink_metadata()?;
        if !metadata.is_file() {
            continue;
        }
        let mut gzip = flate2::GzBuilder::new()
            .filename(Path::new(name).file_name().unwrap_or_default().as_encoded_bytes())
            .mtime(u32::try_from(metadata.mtime()).unwrap_or_default())
            .write(&mut output, flate2::Compression::default());
        io::copy(&mut File::open(&path)?, &mut gzip)?;
        gzip.finish()?;
    }
    output.flush()?;
    Ok(())
}

/// Writes the only one of `files` of the folder `root` as it is.
pub(crate) fn write_raw(target: &Path, root: &Path, files: &BTreeSet<String>) -> Result<(), ArchiveError> {
    let mut files = files.iter();
    match (files.next(), files.next()) {
        (Some(name), None) => {
            io::copy(&mut File::open(root.join(name))?, &mut File::create(target)?)?;
            Ok(())
        }
        _ => Err(ArchiveError::TooManyRawFiles),
    }
}

/// Extracts a ZIP archive into the folder `root`.
///
/// Nothing is written outside of `root`, neither by names nor through links; links come last, so that no other entry
/// goes through one of them.
pub(crate) fn extract_zip(archive: &Path, root: &Path) -> Result<(), ArchiveError> {
    let mut zip = ZipArchive::new(BufReader::new(File::open(archive)?))?;
    if zip.len() > limits::ARCHIVE_ENTRIES {
        return Err(ArchiveError::TooManyEntries(zip.len()));
    }
    fs::create_dir_all(root)?;
    let root = root.canonicalize()?;
    let mut links = Vec::new();
    let mut folders = Vec::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index)?;
        let name = entry.name()?.into_owned();
        let path = root.join(relative_path(&name)?);
        let mode = entry.unix_mode().map(|mode| mode & 0o777);
        let modified = entry.extra_data_fields().find_map(|field| match field {
            ExtraField::ExtendedTimestamp(times) => times.mod_time(),
            _ => None,
        });
        if entry.is_symlink() {
            let mut link = String::new();
            entry.read_to_string(&mut link)?;
            links.push((name, path, link));
        } else if entry.is_dir() {
            make_folder(&root, &path, &name)?;
            folders.push((path, mode, modified));
        } else {
            make_parent(&root, &path, &name)?;
            remove_file(&path)?;
            let mut file = File::create_new(&path)?;
            io::copy(&mut entry, &mut file)?;
            set_attributes(&file, mode, modified)?;
        }
    }
    for (name, path, link) in links {
        make_parent(&root, &path, &name)?;
        remove_file(&path)?;
        symlink(link, path)?;
    }
    // Innermost first, since a folder may come out read-only.
    for (path, mode, modified) in folders.into_iter().rev() {
        if path.symlink_metadata()?.is_dir() {
            set_attributes(&File::open(&path)?, mode, modified)?;
        }
    }
    Ok(())
}

/// `name` as a path that cannot lead upwards.
fn relative_path(name: &str) -> Result<PathBuf, ArchiveError> {
    let path = Path::new(name);
    let is_inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if is_inside && !name.contains('\0') {
        Ok(path.to_path_buf())
    } else {
        Err(ArchiveError::Outside(name.to_owned()))
    }
}

fn make_parent(root: &Path, path: &Path, name: &str) -> Result<(), ArchiveError> {
    path.parent().map_or(Ok(()), |parent| make_folder(root, parent, name))
}

/// Makes `folder` part by part, so that no link leads out of `root`.
fn make_folder(root: &Path, folder: &Path, name: &str) -> Result<(), ArchiveError> {
    let mut path = root.to_path_buf();
    for part in folder.strip_prefix(root).unwrap_or(folder).components() {
        path.push(part);
        match fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !path.canonicalize()?.starts_with(root) {
                    return Err(ArchiveError::Outside(name.to_owned()));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn set_attributes(file: &File, mode: Option<u32>, modified: Option<u32>) -> io::Result<()> {
    if let Some(mode) = mode {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    if let Some(seconds) = modified {
        file.set_modified(UNIX_EPOCH + Duration::from_secs(u64::from(seconds)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::Masker;

    fn project(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        folder
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn collected(root: &Path, paths: &[&str], exclude: &[&str]) -> (Vec<String>, String) {
        let trace = Trace::new(Masker::default(), 1 << 20, true);
        let (paths, exclude) = (strings(paths), strings(exclude));
        let files = collect(root, Selection { paths: &paths, exclude: &exclude, untracked: None }, &trace);
        (files.into_iter().collect(), String::from_utf8_lossy(&trace.read(0, usize::MAX)).into_owned())
    }

    #[test]
    fn paths_are_files_folders_and_patterns() {
        let folder = project(&["a.txt", "build/x.o", "build/sub/y.o", "build/sub/.hidden", "other/z.o"]);
        for (paths, expected) in [
            (&["a.txt"][..], &["a.txt"][..]),
            (&["build/"], &["build", "build/sub", "build/sub/.hidden", "build/sub/y.o", "build/x.o"]),
            (&["./build/x.o"], &["build/x.o"]),
            (&["**/*.o"], &["build/sub/y.o", "build/x.o", "other/z.o"]),
            (&["build/*.o"], &["build/x.o"]),
            (&["build/*"], &["build/sub", "build/sub/.hidden", "build/sub/y.o", "build/x.o"]),
            (&["build/**"], &["build", "build/sub", "build/sub/.hidden", "build/sub/y.o", "build/x.o"]),
            (&["{a,b}.txt", "other"], &["a.txt", "other", "other/z.o"]),
            (&["build/../a.txt"], &["a.txt"]),
            (&["[!b]*.txt"], &["a.txt"]),
        ] {
            assert_eq!(collected(folder.path(), paths, &[]).0, expected, "{paths:?}");
        }
    }

    #[test]
    fn excluded_files_are_left_out_one_by_one() {
        let folder = project(&["build/x.o", "build/x.c"]);
        let (files, output) = collected(folder.path(), &["build"], &["build/**/*.o"]);
        assert_eq!(files, ["build", "build/x.c"]);
        assert!(output.contains("build/**/*.o: excluded 1 files"), "{output}");
        assert!(output.contains("build: found 2 matching artifact files and directories"), "{output}");
    }

    #[test]
    fn nothing_outside_of_the_project_is_taken() {
        let outer = project(&["secret", "project/in"]);
        let root = outer.path().join("project");
        symlink("..", root.join("up")).unwrap();
        for path in ["../secret", "/etc/passwd", "up/secret", "*/../../secret", "up/*"] {
            assert_eq!(collected(&root, &[path], &[]).0, Vec::<String>::new(), "{path}");
        }
        assert_eq!(collected(&root, &["**/*"], &[]).0, ["in", "up"]);
    }

    #[test]
    fn what_is_not_found_is_said_in_the_layout_of_gitlab_runner() {
        let folder = project(&[]);
        let (_, output) = collected(folder.path(), &["x"], &[]);
        let root = folder.path().display();
        assert_eq!(
            output,
            format!(
                "\x1b[0;33mWARNING: x: no matching files. Ensure that the artifact path is relative to the working \
                 directory ({root})\x1b[0;m \n"
            )
        );
    }

    #[test]
    fn a_zip_archive_comes_back_as_it_was() {
        let folder = project(&["bin/run", "bin/data"]);
        let root = folder.path();
        fs::set_permissions(root.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(root.join("bin/data"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("run", root.join("bin/link")).unwrap();
        File::open(root.join("bin/data"))
            .unwrap()
            .set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_001))
            .unwrap();
        let files = collected(root, &["bin"], &[]).0.into_iter().collect();
        let archive = root.join("a.zip");
        write_zip(&archive, root, &files).unwrap();

        let target = tempfile::tempdir().unwrap();
        extract_zip(&archive, target.path()).unwrap();
        let metadata = |name: &str| target.path().join(name).symlink_metadata().unwrap();
        assert_eq!(metadata("bin/run").mode() & 0o777, 0o755);
        assert_eq!(metadata("bin/data").mode() & 0o777, 0o640);
        assert_eq!(metadata("bin/data").mtime(), 1_000_000_001);
        assert_eq!(fs::read_link(target.path().join("bin/link")).unwrap(), Path::new("run"));
        assert_eq!(fs::read_to_string(target.path().join("bin/run")).unwrap(), "bin/run");
        // Again, over what is there.
        extract_zip(&archive, target.path()).unwrap();
    }

    #[test]
    fn an_archive_cannot_write_outside_of_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("evil.zip");
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        symlink(folder.path(), root.join("up")).unwrap();
        for name in ["../evil", "/srv/evil", "a/../../evil", "up/evil"] {
            let mut zip = ZipWriter::new(File::create(&archive).unwrap());
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(b"evil").unwrap();
            zip.finish().unwrap();
            let result = extract_zip(&archive, &root);
            assert!(matches!(result, Err(ArchiveError::Outside(_))), "{name}: {result:?}");
        }
        let mut zip = ZipWriter::new(File::create(&archive).unwrap());
        zip.add_symlink("link", "..", SimpleFileOptions::default()).unwrap();
        zip.start_file("link/evil", SimpleFileOptions::default()).unwrap();
        zip.finish().unwrap();
        assert!(extract_zip(&archive, &root).is_err());
        assert!(!folder.path().join("evil").exists());
    }
}
