//! Tags.

use weir_api::tags::Tag;
use weir_store::projects::Project;

use crate::app::commits;
use crate::app::tags::TagDetails;
use crate::ctx::Ctx;

/// A tag.
pub fn full(ctx: &Ctx, project: &Project, found: &TagDetails) -> Tag {
    let (tag, annotation) = (&found.tag, found.tag.annotation.as_ref());
    Tag {
        name: tag.name.to_string(),
        message: annotation.map(|annotation| annotation.message.clone()).unwrap_or_default(),
        target: tag.target.to_string(),
        commit: tag.commit.as_ref().map(|commit| commits::entity(ctx, project, commit)),
        release: None,
        protected: found.protected,
        created_at: annotation.and_then(|it| it.tagger.as_ref()).map(weir_git::Signature::timestamp),
    }
}
