//! Projects.

mod change;

use weir_api::id::{NamespaceId, ProjectId};
use weir_api::{AccessLevel, FeatureAccess, NamespaceKind, Timestamp, Visibility};
use weir_git::{Action as FileAction, BranchName, NewCommit, RepoPath, Signature};
use weir_store::members::{self, Source};
use weir_store::namespaces::{self, Namespace};
use weir_store::projects::{self, NewProject, OrderBy, Project, Settings};
use weir_store::users::{self, User};
use weir_store::{Error as StoreError, Page as Rows, Sort, Tx};

pub use self::change::Change;
pub use weir_store::projects::Filter;

use crate::app::{access, instance, paths};
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// The default branch of a repository that the server fills, where none is asked for.
const DEFAULT_BRANCH: &str = "main";
/// The longest name. Source: `app/models/project.rb`.
const MAX_NAME: usize = 255;
/// How many projects stand in the entity of their group. Source: `GroupProjectsFinder::DEFAULT_PROJECTS_LIMIT`.
pub const OF_GROUP: Page = Page { page: 1, per_page: 100 };

/// A project with what its entity tells besides.
#[derive(Debug, Clone)]
pub struct View {
    /// The project.
    pub project: Project,
    /// Where it is.
    pub namespace: Namespace,
    /// The user whose namespace that is.
    pub owner: Option<User>,
    /// The caller's level as a member of the project itself.
    pub direct: Option<AccessLevel>,
    /// The caller's level as a member of its groups.
    pub group: Option<AccessLevel>,
    /// The caller's level in all.
    pub level: AccessLevel,
    /// Whether anybody calls.
    pub signed_in: bool,
    /// Whether the caller is an administrator.
    pub admin: bool,
    /// How many forks it has.
    pub forks: i64,
    /// The project from which it was forked, if the caller sees that.
    pub forked_from: Option<Box<View>>,
}

/// The filter, narrowed to what the caller sees.
pub fn visible(caller: Option<&User>, filter: Filter) -> Filter {
    Filter {
        public_only: caller.is_none(),
        visible_to: caller.filter(|user| !user.admin).map(|user| user.id),
        ..filter
    }
}

/// One page of projects, and how many there are.
pub async fn list(ctx: &Ctx, caller: Option<&User>, filter: Filter, page: Page) -> Result<(Vec<View>, u64)> {
    let (caller, now) = (caller.cloned(), ctx.now());
    ctx.db
        .read(move |tx| {
            let found = projects::list(tx, &filter, page.rows())?;
            let total = projects::count(tx, &filter)?.unsigned_abs();
            Ok((views_with_parents(tx, caller.as_ref(), found, now)?, total))
        })
        .await
}

/// One page of projects in the order of their ids, and whether another follows.
pub async fn list_by_id(
    ctx: &Ctx,
    caller: Option<&User>,
    filter: Filter,
    page: Page,
) -> Result<(Vec<View>, bool)> {
    let (caller, now) = (caller.cloned(), ctx.now());
    ctx.db
        .read(move |tx| {
            let mut found = projects::list(tx, &filter, page.rows_and_one())?;
            let length = usize::try_from(page.per_page).unwrap_or(usize::MAX);
            let more = found.len() > length;
            found.truncate(length);
            Ok((views_with_parents(tx, caller.as_ref(), found, now)?, more))
        })
        .await
}

/// A project as the caller sees it.
pub async fn view(ctx: &Ctx, caller: Option<&User>, project: Project) -> Result<View> {
    let (caller, now) = (caller.cloned(), ctx.now());
    let rows = vec![project];
    let views = ctx.db.read(move |tx| views_with_parents(tx, caller.as_ref(), rows, now)).await?;
    views.into_iter().next().ok_or(Error::NotFound("Project"))
}

/// Finds what the entities of projects tell besides, in a few queries for all.
fn views(tx: &mut Tx<'_>, caller: Option<&User>, rows: Vec<Project>, now: Timestamp) -> Result<Vec<View>> {
    let mut namespace_ids: Vec<_> = rows.iter().map(|project| project.namespace_id).collect();
    namespace_ids.sort_unstable();
    namespace_ids.dedup();
    let spaces = namespaces::find_all(tx, &namespace_ids)?;
    let owner_ids: Vec<_> = spaces.iter().filter_map(|namespace| namespace.owner_id).collect();
    let owners = users::find_all(tx, &owner_ids)?;
    let ids: Vec<_> = rows.iter().map(|project| project.id).collect();
    let levels = match caller {
        Some(user) => members::levels(tx, &ids, user.id, now)?,
        None => Vec::new(),
    };
    let forks = projects::count_forks(tx, &ids)?;
    let view = |project: Project| {
        // A project whose namespace is gone is gone as well.
        let namespace = spaces.iter().find(|it| it.id == project.namespace_id)?.clone();
        let owner = owners.iter().find(|owner| Some(owner.id) == namespace.owner_id).cloned();
        let of_project = levels.iter().find(|levels| levels.project_id == project.id);
        let (direct, group) = (of_project.and_then(|it| it.direct), of_project.and_then(|it| it.group));
        let owns = caller.is_some_and(|user| namespace.owner_id == Some(user.id));
        let admin = caller.is_some_and(|user| user.admin);
        let level = [direct, group, owns.then_some(AccessLevel::Owner), admin.then_some(AccessLevel::Admin)];
        let level = level.into_iter().flatten().max().unwrap_or(AccessLevel::NoAccess);
        let forks = forks.iter().find(|(id, _)| *id == project.id).map_or(0, |(_, count)| *count);
        let signed_in = caller.is_some();
        Some(View {
            project,
            namespace,
            owner,
            direct,
            group,
            level,
            signed_in,
            admin,
            forks,
            forked_from: None,
        })
    };
    Ok(rows.into_iter().filter_map(view).collect())
}

/// Finds the projects from which others were forked, as far as the caller sees them.
fn add_parents(tx: &mut Tx<'_>, caller: Option<&User>, of: &mut [View], now: Timestamp) -> Result<()> {
    let mut ids: Vec<_> = of.iter().filter_map(|view| view.project.forked_from_id).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(());
    }
    let mut seen = Vec::new();
    for parent in projects::find_all(tx, &ids)? {
        if access::standing(tx, caller, &parent, now)?.sees_the_project() {
            seen.push(parent);
        }
    }
    let parents = views(tx, caller, seen, now)?;
    for view in of {
        let parent = parents.iter().find(|it| Some(it.project.id) == view.project.forked_from_id);
        view.forked_from = parent.cloned().map(Box::new);
    }
    Ok(())
}

/// The same, with the projects from which they were forked.
fn views_with_parents(
    tx: &mut Tx<'_>,
    caller: Option<&User>,
    rows: Vec<Project>,
    now: Timestamp,
) -> Result<Vec<View>> {
    let mut views = views(tx, caller, rows, now)?;
    add_parents(tx, caller, &mut views, now)?;
    Ok(views)
}

/// What is asked for with a new project.
#[derive(Debug, Clone)]
pub struct New {
    /// The name shown; none takes the path.
    pub name: Option<String>,
    /// The last part of its path; none is made from the name.
    pub path: Option<String>,
    /// Where it will be; none is the creator's own namespace.
    pub namespace_id: Option<NamespaceId>,
    /// Who sees it.
    pub visibility: Option<Visibility>,
    /// The branch of the first commit.
    pub default_branch: Option<String>,
    /// Whether a README is committed.
    pub with_readme: bool,
    /// Settings other than the defaults.
    pub change: Change,
}

/// A new project with its repository. In their own namespace its creator becomes its owner, in a group the members of
/// the group are its members. Source: `app/services/projects/create_service.rb`.
///
/// # Errors
/// 400 if a value cannot be.
pub async fn create(ctx: &Ctx, creator: &User, new: New) -> Result<Project> {
    let branch = new.default_branch.clone().filter(|name| !name.is_empty());
    let branch = branch_name(branch.unwrap_or_else(|| DEFAULT_BRANCH.to_owned()))?;
    let (user, now, with_readme) = (creator.clone(), ctx.now(), new.with_readme);
    let project = ctx.db.write(move |tx| insert(tx, &user, &new, now)).await?;
    let filled = fill(ctx, creator, &project, &branch, with_readme).await;
    if let Err(error) = filled {
        let id = project.id;
        ctx.db.write(move |tx| projects::delete(tx, id, now)).await?;
        return Err(error);
    }
    let id = project.id;
    let found = ctx.db.read(move |tx| projects::find(tx, id)).await?;
    found.ok_or(Error::NotFound("Project"))
}

fn branch_name(name: String) -> Result<BranchName> {
    BranchName::new(name).map_err(|invalid| weir_git::Error::from(invalid).into())
}

/// Makes the repository of a new project.
async fn fill(
    ctx: &Ctx,
    user: &User,
    project: &Project,
    branch: &BranchName,
    with_readme: bool,
) -> Result<()> {
    let repository = ctx.repositories.repository(project.id.0);
    // What a deleted project may have left under the same id is not this one's.
    repository.delete().await?;
    repository.create(branch).await?;
    if !with_readme {
        return Ok(());
    }
    let text = match &project.description {
        Some(description) => format!("# {}\n\n{description}\n", project.name),
        None => format!("# {}\n", project.name),
    };
    let author = Signature::new(&user.name, &user.email, ctx.now());
    let readme = RepoPath::new("README.md").map_err(weir_git::Error::from)?;
    let commit = NewCommit {
        branch: branch.clone(),
        start: None,
        force: false,
        message: "Initial commit".to_owned(),
        author: author.clone(),
        committer: author,
        actions: vec![FileAction::Create { path: readme, content: text.into_bytes(), executable: false }],
    };
    repository.create_commit(&commit).await?;
    instance::adopt_default_branch(ctx, project.id, branch.clone()).await
}

pub(super) fn insert(tx: &mut Tx<'_>, creator: &User, new: &New, now: Timestamp) -> Result<Project> {
    let namespace = match new.namespace_id {
        Some(id) => namespaces::find(tx, id)?,
        None => namespaces::of_user(tx, creator.id)?,
    };
    let namespace = namespace.ok_or_else(|| Error::field("namespace", "is not valid"))?;
    let level = access::level(tx, Some(creator), Source::Group(namespace.id), now)?;
    if level < AccessLevel::Developer {
        return Err(Error::field("namespace", "is not valid"));
    }
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let (name, path) = match (given(&new.name), given(&new.path)) {
        (Some(name), Some(path)) => (name, path),
        (Some(name), None) => (name.clone(), paths::from_name(&name)),
        (None, Some(path)) => (path.clone(), path),
        (None, None) => return Err(Error::field("name", "can't be blank")),
    };
    check_name(&name)?;
    if let Some(complaint) = paths::refuse_project(&path) {
        return Err(Error::field("path", complaint));
    }
    let visibility = new.visibility.unwrap_or(Visibility::Private);
    check_visibility(visibility, &namespace)?;
    let full_path = format!("{}/{path}", namespace.full_path);
    check_is_free(tx, namespace.id, &name, &full_path, None)?;
    let row = NewProject {
        namespace_id: namespace.id,
        creator_id: creator.id,
        name,
        path,
        description: None,
        visibility,
        default_branch: None,
        settings: Settings::default(),
        builds_access_level: FeatureAccess::Enabled,
        public_jobs: true,
        shared_runners_enabled: namespace.shared_runners_enabled,
        group_runners_enabled: true,
    };
    let mut project = projects::insert(tx, &row, now).map_err(taken)?;
    new.change.apply(&mut project)?;
    projects::update(tx, &project, now)?;
    if let Some(owner) = namespace.owner_id.filter(|_| namespace.kind == NamespaceKind::User) {
        let source = Source::Project(project.id);
        members::insert(tx, source, owner, AccessLevel::Owner, None, Some(creator.id), now)?;
    }
    Ok(project)
}

/// What is to change of a project's name and place, besides its settings.
#[derive(Debug, Clone, Default)]
pub struct Rename {
    /// The name shown.
    pub name: Option<String>,
    /// The last part of its path.
    pub path: Option<String>,
    /// Who sees it.
    pub visibility: Option<Visibility>,
    /// The branch that counts where none is named.
    pub default_branch: Option<String>,
}

/// Changes a project.
///
/// # Errors
/// 400 if a value cannot be.
pub async fn update(ctx: &Ctx, project: Project, rename: Rename, change: Change) -> Result<Project> {
    let mut default_branch = None;
    if let Some(name) =
        rename.default_branch.clone().filter(|name| Some(name) != project.default_branch.as_ref())
    {
        let branch = branch_name(name)?;
        let repository = ctx.repositories.repository(project.id.0);
        if !repository.branch_exists(&branch).await? {
            let reason = format!("Could not change HEAD: branch '{branch}' does not exist");
            return Err(Error::base(reason));
        }
        repository.set_default_branch(&branch).await?;
        default_branch = Some(branch.to_string());
    }
    let now = ctx.now();
    ctx.db
        .write(move |tx| {
            let mut updated = projects::find(tx, project.id)?.ok_or(Error::NotFound("Project"))?;
            if let Some(visibility) = rename.visibility {
                let namespace = namespaces::find(tx, updated.namespace_id)?;
                check_visibility(visibility, &namespace.ok_or(Error::NotFound("Namespace"))?)?;
                updated.visibility = visibility;
            }
            if let Some(branch) = &default_branch {
                updated.default_branch = Some(branch.clone());
            }
            let name = rename.name.clone().unwrap_or_else(|| updated.name.clone());
            let path = rename.path.clone().unwrap_or_else(|| updated.path.clone());
            check_name(&name)?;
            if let Some(complaint) = paths::refuse_project(&path) {
                return Err(Error::field("path", complaint));
            }
            let above = updated.full_path.rsplit_once('/').map_or("", |(above, _)| above);
            check_is_free(tx, updated.namespace_id, &name, &format!("{above}/{path}"), Some(updated.id))?;
            updated.name = name;
            change.apply(&mut updated)?;
            projects::update(tx, &updated, now)?;
            if path != updated.path {
                projects::rename(tx, &updated, &path, now).map_err(taken)?;
            }
            projects::find(tx, updated.id)?.ok_or(Error::NotFound("Project"))
        })
        .await
}

/// Makes a project read-only, or not.
pub async fn set_archived(ctx: &Ctx, id: ProjectId, archived: bool) -> Result<Project> {
    change_row(ctx, id, move |project| project.archived = archived).await
}

/// Marks a project as about to be deleted: nobody sees it any more; the background deletes what is its own.
pub async fn delete(ctx: &Ctx, id: ProjectId) -> Result<()> {
    change_row(ctx, id, |project| project.deleting = true).await?;
    ctx.bus.wake(Wake::Background);
    Ok(())
}

/// Deletes the repositories of projects whose rows go next: in this order, for SQLite may give the id of a deleted row
/// to another, whose repository must stay.
pub(super) async fn delete_repositories(ctx: &Ctx, ids: &[ProjectId]) -> Result<()> {
    for id in ids {
        ctx.repositories.repository(id.0).delete().await?;
    }
    Ok(())
}

/// The ids of all projects that a filter lets pass.
pub(super) fn ids(tx: &mut Tx<'_>, filter: Filter) -> Result<Vec<ProjectId>> {
    /// How many one statement finds.
    const BATCH: i64 = 500;
    let mut filter = Filter { order_by: OrderBy::Id, sort: Sort::Asc, ..filter };
    let mut ids = Vec::new();
    loop {
        let found = projects::list(tx, &filter, Rows::first(BATCH))?;
        let Some(last) = found.last() else { return Ok(ids) };
        filter.id_after = Some(last.id);
        ids.extend(found.iter().map(|project| project.id));
    }
}

async fn change_row(
    ctx: &Ctx,
    id: ProjectId,
    change: impl Fn(&mut Project) + Send + 'static,
) -> Result<Project> {
    let now = ctx.now();
    ctx.db
        .write(move |tx| {
            let mut project = projects::find(tx, id)?.ok_or(Error::NotFound("Project"))?;
            change(&mut project);
            projects::update(tx, &project, now)?;
            Ok(project)
        })
        .await
}

/// Source: `Gitlab::Regex.project_name_regex`.
fn check_name(name: &str) -> Result<()> {
    if name.chars().count() > MAX_NAME {
        let complaint = format!("is too long (maximum is {MAX_NAME} characters)");
        return Err(Error::field("name", complaint));
    }
    let is_emoji = |c: char| !c.is_ascii() && !c.is_control() && !c.is_whitespace();
    let begins = name.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_' || is_emoji(c));
    let inner = |c: char| c.is_alphanumeric() || "_.+- ".contains(c) || is_emoji(c);
    if begins && name.chars().all(inner) {
        return Ok(());
    }
    Err(Error::field(
        "name",
        "can contain only letters, digits, emoji, '_', '.', '+', dashes, or spaces. It must start with a letter, \
         digit, emoji, or '_'.",
    ))
}

fn check_visibility(wanted: Visibility, namespace: &Namespace) -> Result<()> {
    if namespace.kind == NamespaceKind::Group && wanted > namespace.visibility {
        let complaint = format!("{wanted} is not allowed in a {} group.", namespace.visibility);
        return Err(Error::field("visibility_level", complaint));
    }
    Ok(())
}

const TAKEN: &str = "has already been taken";

/// Refuses a name or path that something else in the namespace has.
fn check_is_free(
    tx: &mut Tx<'_>,
    namespace: NamespaceId,
    name: &str,
    full_path: &str,
    but_for: Option<ProjectId>,
) -> Result<()> {
    let mut complaints = serde_json::Map::new();
    if projects::is_name_taken(tx, namespace, name, but_for)? {
        complaints.insert("name".to_owned(), [TAKEN].as_slice().into());
    }
    let other = projects::find_by_path(tx, full_path)?.is_some_and(|other| Some(other.id) != but_for);
    if other || namespaces::find_by_path(tx, full_path)?.is_some() {
        complaints.insert("path".to_owned(), [TAKEN].as_slice().into());
    }
    if complaints.is_empty() { Ok(()) } else { Err(Error::Invalid(complaints.into())) }
}

/// Somebody took the path after it was looked for.
fn taken(error: StoreError) -> Error {
    if namespaces::is_path_taken(&error) { Error::field("path", TAKEN) } else { error.into() }
}
