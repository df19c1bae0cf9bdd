//! The configuration of a commit, compiled: the compiler asks, Git and the settings answer.

use weir_api::VariableType;
use weir_compiler::vars::{Level, StoredVariable, Variable, Variables, applicable, predefined};
use weir_compiler::{Answer, Compilation, Compiled, Context, FileId, Request, Step};
use weir_git::{ObjectId, RepoPath, Repository};
use weir_store::users::User;
use weir_store::variables::Owner;

use super::create::{Facts, NewVariable, Origin, Start, before, upstream};
use super::elsewhere;
use crate::app::access::Access;
use crate::app::merge_requests::{RequestFacts, RequestOf};
use crate::app::{artifacts, facts, merge_requests};
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// The largest configuration file, in bytes. Source: the setting `max_yaml_size_bytes`.
const MAX_CONFIG: u64 = 2 << 20;
/// The path of a child pipeline's configuration, which is no file: none has such a path.
const BRIDGE: &str = "/trigger";
/// Rounds of questions and answers in one compilation; includes nest at most so deep.
const MAX_ROUNDS: usize = 200;

/// Compiles the configuration of the commit; none if there is no such file.
pub(super) async fn compile(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    start: &Start,
    facts: &Facts,
    repository: &Repository,
) -> Result<Option<Compiled>> {
    let project = &access.project;
    let path =
        if upstream(start).is_some_and(|it| it.bridge.child) { BRIDGE } else { facts::config_path(project) };
    let text = match &start.config {
        Some(text) => Some(text.clone()),
        None => match read_file(repository, &start.commit, path).await? {
            Answer::File(None) => return Ok(None),
            Answer::File(text) => text,
            _ => None,
        },
    };
    let mut context = Context::new(start.source, facts.source_ref(), &project.full_path);
    context.tag = facts.tag;
    context.default_branch.clone_from(&project.default_branch);
    context.inputs.clone_from(&start.inputs);
    context.child = upstream(start).is_some_and(|it| it.bridge.child);
    let (shared, row, of) = (ctx.clone(), project.clone(), facts.request.clone());
    let branch = (!facts.tag).then(|| facts.short_name.clone());
    let (settings, requests) = ctx
        .db
        .read(move |tx| {
            let requests = merge_requests::facts(tx, &shared, &row, branch.as_deref(), of.as_ref())?;
            Ok::<_, Error>((facts::settings_of(&shared, tx, &row)?, requests))
        })
        .await?;
    context.settings = by_owner(settings, facts.protected);
    context.variables = variables(ctx, access, user, start, facts, &context.settings, requests);
    let mut compilation = Compilation::new(path, text.as_deref(), context);
    for _ in 0..MAX_ROUNDS {
        // Most files take less than a millisecond; a hostile one must not hold up other requests.
        let step;
        (compilation, step) = tokio::task::spawn_blocking(move || {
            let step = compilation.step();
            (compilation, step)
        })
        .await
        .map_err(|error| Error::internal(format!("the compiler failed: {error}")))?;
        match step {
            Step::Done(compiled) => return Ok(Some(*compiled)),
            Step::Need(requests) => {
                let mut answers = Vec::with_capacity(requests.len());
                for request in requests {
                    answers.push(answer(ctx, user, repository, start, facts, request).await?);
                }
                compilation.supply(answers);
            }
        }
    }
    Err(Error::internal("a compilation asked for facts without end"))
}

/// A file of the commit as the compiler wants it.
pub(super) async fn read_file(repository: &Repository, commit: &ObjectId, path: &str) -> Result<Answer> {
    let Ok(path) = RepoPath::new(path.trim_start_matches('/')) else { return Ok(Answer::File(None)) };
    match repository.file_content(commit, &path, MAX_CONFIG).await {
        Ok(content) => Ok(Answer::File(content.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))),
        Err(weir_git::Error::TooLarge { .. }) => {
            Ok(Answer::FileError("The provided YAML is too big".to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Answers one question of the compiler.
async fn answer(
    ctx: &Ctx,
    user: &User,
    repository: &Repository,
    start: &Start,
    facts: &Facts,
    request: Request,
) -> Result<Answer> {
    Ok(match request {
        Request::LocalFile { path } => read_file(repository, &start.commit, &path).await?,
        Request::RepositoryPaths => Answer::Paths(Some(repository.paths(&start.commit).await?)),
        Request::ChangedPaths { compare_to } => {
            let old = match compare_to {
                Some(other) => match repository.resolve(&other).await? {
                    Some(other) => repository.merge_base(&other.commit, &start.commit).await?,
                    None => return Ok(Answer::FileError(format!("`{other}` is no ref"))),
                },
                None if facts.request.is_some() => {
                    return changed_by(repository, facts.request.as_ref()).await;
                }
                None => before(start).and_then(|sha| ObjectId::new(sha).ok()).filter(|id| !id.is_zero()),
            };
            match old {
                Some(old) => Answer::Paths(repository.changed_paths(&old, &start.commit).await?),
                None => Answer::Paths(None),
            }
        }
        Request::FileIds { paths, of } => Answer::Ids(file_ids(repository, start, paths, of).await?),
        Request::ProjectFile { project, git_ref, path } => {
            elsewhere::file(ctx, user, &project, git_ref.as_deref(), &path).await?
        }
        Request::ProjectPaths { project, git_ref } => {
            elsewhere::paths(ctx, user, &project, git_ref.as_deref()).await?
        }
        Request::RemoteFile { url } => elsewhere::remote(ctx, &url, MAX_CONFIG).await,
        Request::ArtifactFile { job, path } => match upstream(start) {
            Some(by) => artifacts::file_of_parent(ctx, by.bridge.pipeline_id, &job, &path).await?,
            None => Answer::File(None),
        },
        Request::Template { name } => {
            Answer::FileError(format!("Included file `{name}` is empty or does not exist!"))
        }
    })
}

/// The paths that a merge request changes: from the commit that both branches have to the newest one.
async fn changed_by(repository: &Repository, of: Option<&RequestOf>) -> Result<Answer> {
    let request = of.map(|of| &of.request);
    let (Some(base), Some(head)) = (request.and_then(|it| it.base_sha.as_ref()), request.map(|it| &it.sha))
    else {
        return Ok(Answer::Paths(None));
    };
    let (base, head) = (ObjectId::new(base.as_str())?, ObjectId::new(head.as_str())?);
    Ok(Answer::Paths(repository.changed_paths(&base, &head).await?))
}

/// The ids of those of the files that there are.
async fn file_ids(
    repository: &Repository,
    start: &Start,
    paths: Vec<String>,
    of: FileId,
) -> Result<Vec<String>> {
    let mut ids = Vec::with_capacity(paths.len());
    for path in paths {
        let Ok(path) = RepoPath::new(&path) else { continue };
        let Some(file) = repository.file(&start.commit, &path).await? else { continue };
        ids.extend(match of {
            FileId::Blob => Some(file.blob.to_string()),
            FileId::Commit => {
                repository.last_commit_for_path(&start.commit, &path).await?.map(|id| id.to_string())
            }
        });
    }
    Ok(ids)
}

/// The variables of the settings that the ref may have, those of each owner together.
fn by_owner(
    settings: Vec<(Owner, StoredVariable)>,
    protected_ref: bool,
) -> Vec<(Level, Vec<StoredVariable>)> {
    let mut owners: Vec<(Owner, Vec<StoredVariable>)> = Vec::new();
    for (owner, stored) in settings.into_iter().filter(|(_, stored)| protected_ref || !stored.protected) {
        match owners.last_mut() {
            Some((last, of_owner)) if *last == owner => of_owner.push(stored),
            _ => owners.push((owner, vec![stored])),
        }
    }
    owners.into_iter().map(|(owner, stored)| (level_of(owner), stored)).collect()
}

/// Every variable from outside the file, with its level, as a job without an environment sees them.
fn variables(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    start: &Start,
    facts: &Facts,
    settings: &[(Level, Vec<StoredVariable>)],
    requests: RequestFacts,
) -> Variables {
    let before = before(start);
    let scheduled = match &start.origin {
        Origin::Scheduled(scheduled) => Some(scheduled),
        _ => None,
    };
    let of = facts::PipelineOf {
        iid: None,
        created_at: None,
        name: None,
        source: start.source,
        ref_name: facts.source_ref(),
        tag: facts.tag,
        protected: facts.protected,
        before_sha: before.as_deref(),
        schedule_description: scheduled.map(|it| it.description.as_str()),
        commit: &facts.commit,
        upstream: upstream(start).map(|it| it.bridge),
        requests,
    }
    .facts();
    let (server, project) = (facts::server(ctx), facts::project(&access.project));
    let mut all = Variables::new();
    all.extend(Level::Predefined, predefined::pre_pipeline(&server, &project, &of));
    all.extend(Level::User, predefined::user(&facts::user(user)));
    for (level, stored) in settings {
        all.extend(*level, applicable(stored.iter().cloned(), None, facts.protected));
    }
    all.extend(Level::Pipeline, start.variables.iter().map(given));
    if let Some(scheduled) = scheduled {
        all.extend(Level::Schedule, scheduled.variables.iter().map(given));
    }
    all
}

/// The level of a setting.
pub(in crate::app) const fn level_of(owner: Owner) -> Level {
    match owner {
        Owner::Instance => Level::Instance,
        Owner::Group(_) => Level::Group,
        Owner::Project(_) => Level::Project,
    }
}

fn given(variable: &NewVariable) -> Variable {
    Variable {
        file: variable.variable_type == VariableType::File,
        raw: variable.raw,
        ..Variable::private(&variable.key, &variable.value)
    }
}
