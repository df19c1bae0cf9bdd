//! What is there in the beginning.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use anyhow::{Context, Result};
use weir_api::id::NamespaceId;
use weir_api::runner::{RunnerFeature, RunnerFeatures};
use weir_api::{FeatureAccess, RunnerAccessLevel, RunnerType, Timestamp, Visibility};
use weir_store::groups::{self, NewGroup};
use weir_store::namespaces::{self, Namespace};
use weir_store::projects::{self, NewProject, Settings};
use weir_store::runners::{self, NewRunner};
use weir_store::users::{self, NewUser, User};
use weir_store::{Engine, TokenDigest, Tx};

use crate::place::{Place, Template};
use crate::plans::TAGS;
use crate::random::Random;
use crate::runners::Runner;
use crate::server::{Server, Stop};
use crate::world::{Journal, Project, Scale, World};

/// The groups: a top one, one in it, and one beside them.
const GROUPS: [(&str, Option<usize>); 3] = [("top", None), ("sub", Some(0)), ("other", None)];

/// What a project is to be.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    /// In this group, or the user's own.
    group: Option<usize>,
    instance_runners: bool,
    group_runners: bool,
}

/// What a runner is to be.
#[derive(Debug, Clone)]
struct WantedRunner {
    kind: RunnerType,
    group: usize,
    project: usize,
    tags: Vec<String>,
    run_untagged: bool,
    protected_only: bool,
    maximum_timeout: Option<u64>,
}

impl World {
    /// The world of a seed on its first day.
    pub(crate) fn new(
        seed: u64,
        scale: Scale,
        engine: Engine,
        template: &Template,
        verbose: bool,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let place = Rc::new(Place::new(template, engine, &runtime)?);
        let db = runtime.block_on(place.open())?;
        let mut world = Self {
            random: Random::new(seed),
            scale,
            server: Server::new(runtime, db),
            place,
            time: 0,
            skew: 0,
            projects: Vec::new(),
            runners: Vec::new(),
            pipelines: BTreeMap::new(),
            order: Vec::new(),
            executions: Vec::new(),
            picks: HashMap::new(),
            waiting: BTreeMap::new(),
            running: Vec::new(),
            on_instance_runner: HashMap::new(),
            holders: BTreeMap::new(),
            tasks: false,
            tokens: 0,
            commits: 0,
            step: 0,
            journal: Journal::new(verbose),
        };
        world.settle_in()?;
        Ok(world)
    }

    fn settle_in(&mut self) -> Result<()> {
        let wanted: Vec<Wanted> = (0..self.scale.projects)
            .map(|_| Wanted {
                group: self.random.one(&[None, Some(0), Some(1), Some(1), Some(2)]).flatten(),
                instance_runners: self.random.percent(85),
                group_runners: self.random.percent(85),
            })
            .collect();
        let runners: Vec<WantedRunner> =
            (0..self.scale.runners).map(|number| self.runner(number)).collect::<Result<_>>()?;
        let now = self.now();
        let (projects, rows) = self.server.write(move |tx| {
            let (groups, projects) = insert_projects(tx, &wanted, now)?;
            let mut rows = Vec::new();
            for (number, runner) in runners.iter().enumerate() {
                let new = new_runner(number, runner, &groups, &projects);
                let (project, group) = (new.project_id, new.group_id);
                rows.push((runners::insert(tx, &new, now)?, new.digest, project, group));
            }
            Ok((projects, rows))
        })?;
        self.running = vec![0; projects.len()];
        self.projects = projects;
        for (row, token, project, group) in rows {
            let features = self.features();
            let capacity = self.random.index(3).unwrap_or_default() + 1;
            self.runners.push(Runner {
                row,
                token,
                features,
                project,
                group,
                capacity,
                asked_at: None,
                dead: false,
            });
        }
        Ok(())
    }

    fn runner(&mut self, number: u64) -> Result<WantedRunner> {
        // The first one serves everybody, so that most jobs run.
        let kinds = [RunnerType::Instance, RunnerType::Group, RunnerType::Project];
        let kind =
            if number == 0 { RunnerType::Instance } else { self.random.one(&kinds).context("a kind")? };
        let projects = usize::try_from(self.scale.projects)?;
        Ok(WantedRunner {
            kind,
            group: self.random.index(GROUPS.len()).unwrap_or_default(),
            project: self.random.index(projects).unwrap_or_default(),
            tags: self.tags(),
            run_untagged: number == 0 || self.random.percent(80),
            protected_only: number > 0 && self.random.percent(20),
            maximum_timeout: self.random.percent(20).then(|| 600 + self.random.below(3_600)),
        })
    }

    /// Some tags, in order.
    pub(crate) fn tags(&mut self) -> Vec<String> {
        TAGS.iter().filter(|_| self.random.percent(50)).map(|tag| (*tag).to_owned()).collect()
    }

    /// Most runners can do everything.
    fn features(&mut self) -> RunnerFeatures {
        let mut features = RunnerFeatures::all();
        for (percent, feature) in [(10, RunnerFeature::ReturnExitCode), (50, RunnerFeature::CancelGracefully)]
        {
            if self.random.percent(percent) {
                features = features.without(feature);
            }
        }
        features
    }
}

fn insert_projects(
    tx: &mut Tx<'_>,
    wanted: &[Wanted],
    now: Timestamp,
) -> Result<(Vec<NamespaceId>, Vec<Project>), Stop> {
    let new = NewUser {
        username: "dev".to_owned(),
        name: "Dev".to_owned(),
        email: "dev@ci.example".to_owned(),
        admin: false,
        bot: false,
    };
    let user = users::insert(tx, &new, now)?;
    namespaces::insert_user(tx, &user, now)?;
    let own = namespaces::of_user(tx, user.id)?.ok_or(Stop::Gone)?;
    let mut groups: Vec<Namespace> = Vec::new();
    for (path, parent) in GROUPS {
        let new = NewGroup {
            parent: parent.and_then(|parent| groups.get(parent)).cloned(),
            name: path.to_owned(),
            path: path.to_owned(),
            description: String::new(),
            visibility: Visibility::Private,
            creator: user.id,
        };
        groups.push(groups::insert(tx, &new, now)?);
    }
    let mut projects = Vec::new();
    for (number, wanted) in wanted.iter().enumerate() {
        let namespace = wanted.group.and_then(|group| groups.get(group)).unwrap_or(&own);
        let row = projects::insert(tx, &new_project(number, wanted, namespace, &user), now)?;
        let mut above = wanted.group;
        let mut namespaces = Vec::new();
        while let Some(group) = above {
            namespaces.push(groups[group].id);
            above = GROUPS[group].1;
        }
        let Wanted { instance_runners, group_runners, .. } = *wanted;
        projects.push(Project { id: row.id, namespaces, instance_runners, group_runners });
    }
    Ok((groups.iter().map(|group| group.id).collect(), projects))
}

fn new_project(number: usize, wanted: &Wanted, namespace: &Namespace, user: &User) -> NewProject {
    NewProject {
        namespace_id: namespace.id,
        creator_id: user.id,
        name: format!("project{number}"),
        path: format!("project{number}"),
        description: None,
        visibility: Visibility::Private,
        default_branch: Some("main".to_owned()),
        settings: Settings::default(),
        builds_access_level: FeatureAccess::Enabled,
        public_jobs: true,
        shared_runners_enabled: wanted.instance_runners,
        group_runners_enabled: wanted.group_runners,
    }
}

fn new_runner(
    number: usize,
    runner: &WantedRunner,
    groups: &[NamespaceId],
    projects: &[Project],
) -> NewRunner {
    NewRunner {
        runner_type: runner.kind,
        digest: TokenDigest::of(&format!("runner {number}")),
        group_id: (runner.kind == RunnerType::Group).then(|| groups[runner.group]),
        project_id: (runner.kind == RunnerType::Project).then(|| projects[runner.project].id),
        description: None,
        maintenance_note: None,
        tags: runner.tags.clone(),
        run_untagged: runner.run_untagged,
        locked: false,
        paused: false,
        access_level: if runner.protected_only {
            RunnerAccessLevel::RefProtected
        } else {
            RunnerAccessLevel::NotProtected
        },
        maximum_timeout: runner.maximum_timeout,
        token_expires_at: None,
        created_by: None,
    }
}
