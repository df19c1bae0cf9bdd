//! References where Git's `files` storage keeps them: a small file each, or a line of `packed-refs`. Reading them
//! takes microseconds where a process takes milliseconds; only `git` writes them.

use std::io::ErrorKind;
use std::path::Path;

use crate::error::Error;
use crate::limits::MAX_SYMBOLIC_DEPTH;
use crate::names::{ObjectId, RefName};

/// What a reference holds. The small file wins over the line.
pub(crate) fn read_ref(repository: &Path, mut name: String) -> Result<Option<ObjectId>, Error> {
    for _ in 0..MAX_SYMBOLIC_DEPTH {
        match std::fs::read_to_string(repository.join(&name)) {
            Ok(text) => match text.strip_prefix("ref: ") {
                Some(next) => name = RefName::new(next.trim_end())?.into(),
                None => return Ok(Some(ObjectId::new(text.trim_end())?)),
            },
            Err(error) if is_absent(&error) => return read_packed_ref(repository, &name),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
    )
}

fn read_packed_ref(repository: &Path, name: &str) -> Result<Option<ObjectId>, Error> {
    let packed = match std::fs::read(repository.join("packed-refs")) {
        Ok(packed) => packed,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    for line in packed.split(|byte| *byte == b'\n') {
        let Some(rest) = line.strip_suffix(name.as_bytes()) else { continue };
        if let Some(id) = rest.strip_suffix(b" ") {
            return Ok(Some(ObjectId::new(String::from_utf8_lossy(id))?));
        }
    }
    Ok(None)
}

/// Whether there is any branch.
pub(crate) fn has_branches(repository: &Path) -> Result<bool, Error> {
    let mut open = vec![repository.join("refs/heads")];
    while let Some(folder) = open.pop() {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else if entry.path().extension().is_none_or(|extension| extension != "lock") {
                return Ok(true);
            }
        }
    }
    let packed = match std::fs::read(repository.join("packed-refs")) {
        Ok(packed) => packed,
        Err(error) if is_absent(&error) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let mut lines = packed.split(|byte| *byte == b'\n');
    Ok(lines.any(|line| line.windows(12).any(|part| part == b" refs/heads/")))
}
