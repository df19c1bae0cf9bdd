//! Resource groups.

use weir_api::Word;
use weir_api::resource_groups::ResourceGroup;
use weir_store::resource_groups as rows;

/// A resource group.
pub fn full(row: &rows::ResourceGroup) -> ResourceGroup {
    ResourceGroup {
        id: row.id,
        key: row.key.clone(),
        process_mode: Word::Known(row.process_mode),
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}
