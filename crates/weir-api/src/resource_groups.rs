//! Resource groups.

use serde::{Deserialize, Serialize};

use crate::id::ResourceGroupId;
use crate::{ProcessMode, Timestamp, Word};

/// A resource group: of its jobs, in all pipelines of the project, one runs at a time.
/// Source: `lib/api/entities/ci/resource_group.rb`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceGroup {
    /// The group.
    pub id: ResourceGroupId,
    /// Its name, as `resource_group` gives it with its variables expanded.
    pub key: String,
    /// In which order its jobs run.
    pub process_mode: Word<ProcessMode>,
    /// When a job first named it.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
