//! Files of uploads that a crash cut off.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weir_api::Timestamp;

/// Removes the staged files under `directory` that were last written before `before`; how many.
pub(super) fn remove(directory: &Path, before: Timestamp) -> io::Result<u64> {
    let before = UNIX_EPOCH + Duration::from_micros(u64::try_from(before.as_micros()).unwrap_or_default());
    let mut removed = 0;
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        // Directories go away with their last object, and uploads come to an end, while this looks.
        let entries = match std::fs::read_dir(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                directories.push(entry.path());
            } else if is_staged(&entry.file_name()) && modified(&entry).is_some_and(|at| at < before) {
                match std::fs::remove_file(entry.path()) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    result => {
                        result?;
                        removed += 1;
                    }
                }
            }
        }
    }
    Ok(removed)
}

/// `object_store` writes to `KEY#1` (or a higher number) until an upload is complete; no key looks like it.
fn is_staged(name: &std::ffi::OsStr) -> bool {
    let number = name.to_str().and_then(|name| name.rsplit_once('#')).map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `None` if the file is gone by now.
fn modified(entry: &std::fs::DirEntry) -> Option<SystemTime> {
    entry.metadata().and_then(|metadata| metadata.modified()).ok()
}
