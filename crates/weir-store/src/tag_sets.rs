//! Tag sets: each distinct set of job tags has an id, and each runner knows the sets that it covers.

use std::collections::HashMap;

use weir_api::id::{RunnerId, TagSetId};

use crate::{Result, Tx, Value, bulk, params, settings};

/// Adding tag sets and changing runners' tags exclude each other, or coverage would miss what the other adds.
const SECTION: &str = "lock.tag_sets";

/// Tags in order, each once, as the JSON that is stored.
fn canonical(tags: &[String]) -> Result<String> {
    let mut tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    tags.sort_unstable();
    tags.dedup();
    Ok(serde_json::to_string(&tags)?)
}

/// The ids of tag sets, made where they are new.
pub fn ensure<'t>(
    tx: &mut Tx<'_>,
    tags: impl IntoIterator<Item = &'t [String]>,
) -> Result<HashMap<&'t [String], TagSetId>> {
    let mut found = HashMap::new();
    for tags in tags {
        if !found.contains_key(tags) {
            let id = ensure_one(tx, tags)?;
            found.insert(tags, id);
        }
    }
    Ok(found)
}

fn ensure_one(tx: &mut Tx<'_>, tags: &[String]) -> Result<TagSetId> {
    let text = canonical(tags)?;
    let find = "SELECT id FROM tag_sets WHERE tags = $1";
    if let Some(row) = tx.query_opt(find, params![text])? {
        return row.get(0);
    }
    settings::enter(tx, SECTION)?;
    // Someone else may have been first.
    if let Some(row) = tx.query_opt(find, params![text])? {
        return row.get(0);
    }
    let id: TagSetId = tx.insert("INSERT INTO tag_sets (tags) VALUES ($1) RETURNING id", params![text])?;
    let mut covering = Vec::new();
    for row in tx.query("SELECT id, tags, run_untagged FROM runners", params![])? {
        if covers(&row.json::<Vec<String>>(1)?, row.get(2)?, tags) {
            covering.push([Value::Integer(row.get(0)?), Value::Integer(id.0)]);
        }
    }
    bulk::insert(tx, "runner_tag_sets (runner_id, tag_set_id)", &covering, "")?;
    Ok(id)
}

/// Whether a runner may take a job, as far as tags decide.
/// Source: `app/models/ci/build.rb`, `app/services/ci/queue/build_queue_service.rb`.
fn covers(runner: &[String], run_untagged: bool, job: &[String]) -> bool {
    if job.is_empty() { run_untagged } else { job.iter().all(|tag| runner.contains(tag)) }
}

/// Works out anew which tag sets a runner covers.
pub(crate) fn cover(tx: &mut Tx<'_>, runner: RunnerId, tags: &[String], run_untagged: bool) -> Result<()> {
    settings::enter(tx, SECTION)?;
    tx.execute("DELETE FROM runner_tag_sets WHERE runner_id = $1", params![runner])?;
    let mut covered = Vec::new();
    for row in tx.query("SELECT id, tags FROM tag_sets", params![])? {
        if covers(tags, run_untagged, &row.json::<Vec<String>>(1)?) {
            covered.push([Value::Integer(runner.0), Value::Integer(row.get(0)?)]);
        }
    }
    bulk::insert(tx, "runner_tag_sets (runner_id, tag_set_id)", &covered, "")?;
    Ok(())
}

/// The tags of tag sets.
pub fn find_all(tx: &mut Tx<'_>, ids: &[TagSetId]) -> Result<HashMap<TagSetId, Vec<String>>> {
    let rows = bulk::each_of(tx, ids, |ids| format!("SELECT id, tags FROM tag_sets WHERE id IN ({ids})"))?;
    rows.iter().map(|row| Ok((row.get(0)?, row.json(1)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_runner_covers_subsets_of_its_tags_and_untagged_jobs_if_it_may() {
        for (runner, run_untagged, job, expected) in [
            ("linux docker", true, "docker", true),
            ("linux docker", true, "docker linux", true),
            ("linux docker", true, "docker gpu", false),
            ("linux docker", true, "", true),
            ("linux docker", false, "", false),
            ("", true, "", true),
            ("", true, "linux", false),
        ] {
            assert_eq!(covers(&tags(runner), run_untagged, &tags(job)), expected, "{runner} takes {job}");
        }
    }

    #[test]
    fn equal_sets_have_one_text() {
        assert_eq!(canonical(&tags("b a b")).unwrap(), canonical(&tags("a b")).unwrap());
    }
}
