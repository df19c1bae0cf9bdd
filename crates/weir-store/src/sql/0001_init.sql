-- Types are BIGINT, TEXT, BOOLEAN, DOUBLE PRECISION and {{blob}} only. Times are microseconds since 1970 in UTC,
-- closed vocabularies and JSON are TEXT. A column that has no foreign key although it names a row keeps the number of
-- a row that may be gone.

CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- Keys of objects that no row names any more (due now), or that an upload has reserved (due when it can no longer
-- be under way).
CREATE TABLE object_deletions (
    object_key TEXT PRIMARY KEY,
    due_at BIGINT NOT NULL
);
CREATE INDEX object_deletions_due ON object_deletions (due_at);

-- People ---------------------------------------------------------------------------------------------------------

CREATE TABLE users (
    id {{id}},
    username TEXT NOT NULL,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    public_email TEXT,
    state TEXT NOT NULL,
    admin BOOLEAN NOT NULL,
    bot BOOLEAN NOT NULL,
    password_hash TEXT,
    created_at BIGINT NOT NULL,
    last_activity_at BIGINT
);
CREATE UNIQUE INDEX users_username ON users (lower(username));
CREATE UNIQUE INDEX users_email ON users (lower(email));

CREATE TABLE personal_access_tokens (
    id {{id}},
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT,
    digest {{blob}} NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    revoked BOOLEAN NOT NULL,
    expires_on TEXT,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX personal_access_tokens_user ON personal_access_tokens (user_id, id);

-- Namespaces and projects ----------------------------------------------------------------------------------------

CREATE TABLE namespaces (
    id {{id}},
    kind TEXT NOT NULL,
    parent_id BIGINT REFERENCES namespaces (id) ON DELETE CASCADE,
    owner_id BIGINT UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    full_name TEXT NOT NULL,
    full_path TEXT NOT NULL,
    description TEXT NOT NULL,
    visibility TEXT NOT NULL,
    shared_runners_enabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX namespaces_parent ON namespaces (parent_id);

-- Each namespace with itself (distance 0) and everything above it.
CREATE TABLE namespace_ancestors (
    namespace_id BIGINT NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
    ancestor_id BIGINT NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
    distance BIGINT NOT NULL,
    PRIMARY KEY (namespace_id, ancestor_id)
);
CREATE INDEX namespace_ancestors_ancestor ON namespace_ancestors (ancestor_id, namespace_id);

CREATE TABLE projects (
    id {{id}},
    namespace_id BIGINT NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
    creator_id BIGINT REFERENCES users (id) ON DELETE SET NULL,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    full_path TEXT NOT NULL,
    description TEXT,
    visibility TEXT NOT NULL,
    archived BOOLEAN NOT NULL,
    deleting BOOLEAN NOT NULL,
    default_branch TEXT,
    settings TEXT NOT NULL,
    -- Of the settings, those that queries need.
    builds_access_level TEXT NOT NULL,
    public_jobs BOOLEAN NOT NULL,
    shared_runners_enabled BOOLEAN NOT NULL,
    group_runners_enabled BOOLEAN NOT NULL,
    last_pipeline_iid BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    last_activity_at BIGINT NOT NULL
);
CREATE INDEX projects_namespace ON projects (namespace_id);

-- One name space of full paths (in lower case) for namespaces and projects.
CREATE TABLE routes (
    path TEXT PRIMARY KEY,
    namespace_id BIGINT UNIQUE REFERENCES namespaces (id) ON DELETE CASCADE,
    project_id BIGINT UNIQUE REFERENCES projects (id) ON DELETE CASCADE
);

CREATE TABLE members (
    id {{id}},
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    group_id BIGINT REFERENCES namespaces (id) ON DELETE CASCADE,
    project_id BIGINT REFERENCES projects (id) ON DELETE CASCADE,
    access_level BIGINT NOT NULL,
    created_by BIGINT REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    expires_on TEXT
);
CREATE UNIQUE INDEX members_group ON members (group_id, user_id) WHERE group_id IS NOT NULL;
CREATE UNIQUE INDEX members_project ON members (project_id, user_id) WHERE project_id IS NOT NULL;
CREATE INDEX members_user ON members (user_id);

CREATE TABLE protected_branches (
    id {{id}},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    push_access_level BIGINT NOT NULL,
    merge_access_level BIGINT NOT NULL,
    allow_force_push BOOLEAN NOT NULL,
    UNIQUE (project_id, name)
);

CREATE TABLE protected_tags (
    id {{id}},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    create_access_level BIGINT NOT NULL,
    UNIQUE (project_id, name)
);

-- Ref updates that may have happened and whose pipelines may be missing.
CREATE TABLE pushes (
    id {{id}},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    ref TEXT NOT NULL,
    before_sha TEXT NOT NULL,
    after_sha TEXT NOT NULL,
    options TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    due_at BIGINT NOT NULL
);
CREATE INDEX pushes_due ON pushes (due_at);

-- Variables; values are sealed ------------------------------------------------------------------------------------

-- Of a project, of a group, or of the instance (both columns NULL).
CREATE TABLE variables (
    id {{id}},
    project_id BIGINT REFERENCES projects (id) ON DELETE CASCADE,
    group_id BIGINT REFERENCES namespaces (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value {{blob}} NOT NULL,
    variable_type TEXT NOT NULL,
    protected BOOLEAN NOT NULL,
    masked BOOLEAN NOT NULL,
    hidden BOOLEAN NOT NULL,
    raw BOOLEAN NOT NULL,
    environment_scope TEXT NOT NULL,
    description TEXT
);
CREATE UNIQUE INDEX variables_project ON variables (project_id, key, environment_scope) WHERE project_id IS NOT NULL;
CREATE UNIQUE INDEX variables_group ON variables (group_id, key, environment_scope) WHERE group_id IS NOT NULL;
CREATE UNIQUE INDEX variables_instance ON variables (key, environment_scope)
    WHERE project_id IS NULL AND group_id IS NULL;

-- Runners --------------------------------------------------------------------------------------------------------

-- Each distinct set of job tags: sorted, each once, as a JSON array.
CREATE TABLE tag_sets (
    id {{id}},
    tags TEXT NOT NULL UNIQUE
);

CREATE TABLE runners (
    id {{id}},
    runner_type TEXT NOT NULL,
    digest {{blob}} NOT NULL UNIQUE,
    group_id BIGINT REFERENCES namespaces (id) ON DELETE CASCADE,
    description TEXT,
    maintenance_note TEXT,
    tags TEXT NOT NULL,
    run_untagged BOOLEAN NOT NULL,
    locked BOOLEAN NOT NULL,
    paused BOOLEAN NOT NULL,
    access_level TEXT NOT NULL,
    maximum_timeout BIGINT,
    token_expires_at BIGINT,
    created_by BIGINT REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    contacted_at BIGINT
);
CREATE INDEX runners_group ON runners (group_id) WHERE group_id IS NOT NULL;

CREATE TABLE runner_projects (
    id {{id}},
    runner_id BIGINT NOT NULL REFERENCES runners (id) ON DELETE CASCADE,
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    UNIQUE (runner_id, project_id)
);
CREATE INDEX runner_projects_project ON runner_projects (project_id);

-- The tag sets whose jobs a runner may take.
CREATE TABLE runner_tag_sets (
    runner_id BIGINT NOT NULL REFERENCES runners (id) ON DELETE CASCADE,
    tag_set_id BIGINT NOT NULL REFERENCES tag_sets (id) ON DELETE CASCADE,
    PRIMARY KEY (runner_id, tag_set_id)
);

CREATE TABLE runner_managers (
    id {{id}},
    runner_id BIGINT NOT NULL REFERENCES runners (id) ON DELETE CASCADE,
    system_id TEXT NOT NULL,
    version TEXT,
    revision TEXT,
    platform TEXT,
    architecture TEXT,
    executor TEXT,
    ip_address TEXT,
    features TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    contacted_at BIGINT,
    UNIQUE (runner_id, system_id)
);

-- Pipelines ------------------------------------------------------------------------------------------------------

CREATE TABLE pipelines (
    id {{id}},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    iid BIGINT NOT NULL,
    sha TEXT NOT NULL,
    before_sha TEXT,
    source_sha TEXT,
    target_sha TEXT,
    ref TEXT NOT NULL,
    tag BOOLEAN NOT NULL,
    protected BOOLEAN NOT NULL,
    source TEXT NOT NULL,
    config_source TEXT NOT NULL,
    status TEXT NOT NULL,
    name TEXT,
    user_id BIGINT REFERENCES users (id) ON DELETE SET NULL,
    yaml_errors TEXT,
    failure_reason TEXT,
    upstream_job_id BIGINT,
    upstream_pipeline_id BIGINT,
    upstream_project_id BIGINT,
    child BOOLEAN NOT NULL,
    on_new_commit TEXT,
    cancel_on_job_failure BOOLEAN NOT NULL,
    canceled_by_pipeline_id BIGINT,
    -- A random number, new at each save: whoever knows it knows the rows.
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    duration DOUBLE PRECISION,
    UNIQUE (project_id, iid)
);
CREATE INDEX pipelines_project ON pipelines (project_id, id);
CREATE INDEX pipelines_ref ON pipelines (project_id, ref, id);
CREATE INDEX pipelines_sha ON pipelines (project_id, sha, id);
CREATE INDEX pipelines_status ON pipelines (project_id, status, id);
CREATE INDEX pipelines_upstream ON pipelines (upstream_pipeline_id) WHERE upstream_pipeline_id IS NOT NULL;
CREATE UNIQUE INDEX pipelines_upstream_job ON pipelines (upstream_job_id) WHERE upstream_job_id IS NOT NULL;

CREATE TABLE pipeline_configs (
    pipeline_id BIGINT PRIMARY KEY REFERENCES pipelines (id) ON DELETE CASCADE,
    merged_yaml TEXT NOT NULL
);

-- Given at creation; sealed.
CREATE TABLE pipeline_variables (
    id {{id}},
    pipeline_id BIGINT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value {{blob}} NOT NULL,
    variable_type TEXT NOT NULL,
    raw BOOLEAN NOT NULL,
    UNIQUE (pipeline_id, key)
);

CREATE TABLE stages (
    id {{id}},
    pipeline_id BIGINT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    UNIQUE (pipeline_id, position)
);

-- What a job runs (`content`, for its payload) and what decides when (`scheduling`, read with every load). All
-- attempts of a job share one row.
CREATE TABLE job_definitions (
    pipeline_id BIGINT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    scheduling TEXT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (pipeline_id, position)
);

-- Jobs and bridges.
CREATE TABLE jobs (
    id {{id}},
    pipeline_id BIGINT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    project_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    definition BIGINT NOT NULL,
    stage BIGINT NOT NULL,
    stage_name TEXT NOT NULL,
    name TEXT NOT NULL,
    bridge BOOLEAN NOT NULL,
    protected BOOLEAN NOT NULL,
    tag_set_id BIGINT NOT NULL REFERENCES tag_sets (id),
    environment TEXT,
    user_id BIGINT REFERENCES users (id) ON DELETE SET NULL,
    status TEXT NOT NULL,
    retried BOOLEAN NOT NULL,
    retry_of BIGINT,
    allow_failure BOOLEAN NOT NULL,
    enqueue_immediately BOOLEAN NOT NULL,
    cancel_gracefully BOOLEAN NOT NULL,
    failure_reason TEXT,
    exit_code BIGINT,
    timeout BIGINT,
    -- While it runs: when its timeout passes.
    deadline_at BIGINT,
    scheduled_at BIGINT,
    created_at BIGINT NOT NULL,
    queued_at BIGINT,
    started_at BIGINT,
    finished_at BIGINT,
    updated_at BIGINT NOT NULL,
    erased_at BIGINT,
    erased_by BIGINT REFERENCES users (id) ON DELETE SET NULL,
    coverage DOUBLE PRECISION,
    runner_id BIGINT REFERENCES runners (id) ON DELETE SET NULL,
    runner_manager_id BIGINT REFERENCES runner_managers (id) ON DELETE SET NULL,
    on_instance_runner BOOLEAN NOT NULL,
    token_digest {{blob}},
    debug_trace BOOLEAN NOT NULL,
    artifacts_expire_at BIGINT,
    UNIQUE (pipeline_id, position)
);
CREATE INDEX jobs_project ON jobs (project_id, id);
CREATE INDEX jobs_project_status ON jobs (project_id, status, id);
CREATE UNIQUE INDEX jobs_token ON jobs (token_digest) WHERE token_digest IS NOT NULL;
CREATE INDEX jobs_runner ON jobs (runner_id, id) WHERE runner_id IS NOT NULL;
CREATE INDEX jobs_runner_manager ON jobs (runner_manager_id) WHERE runner_manager_id IS NOT NULL;
-- What the background looks for.
CREATE INDEX jobs_scheduled ON jobs (scheduled_at) WHERE status = 'scheduled';
CREATE INDEX jobs_deadline ON jobs (deadline_at) WHERE deadline_at IS NOT NULL;
CREATE INDEX jobs_silent ON jobs (updated_at) WHERE status IN ('running', 'canceling');
CREATE INDEX jobs_pending ON jobs (queued_at) WHERE status = 'pending';

-- Given when a manual job is played; sealed.
CREATE TABLE job_variables (
    id {{id}},
    job_id BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value {{blob}} NOT NULL,
    variable_type TEXT NOT NULL,
    raw BOOLEAN NOT NULL,
    UNIQUE (job_id, key)
);

-- The queue ------------------------------------------------------------------------------------------------------

-- Jobs of one project that the same runners may take wait in one lane. A claim looks at lanes only, so its cost does
-- not grow with the jobs that wait. `head` is the smallest waiting job; `running` counts the project's jobs on
-- instance runners and is the same in all lanes of a project.
CREATE TABLE queue_lanes (
    id {{id}},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    tag_set_id BIGINT NOT NULL REFERENCES tag_sets (id),
    protected BOOLEAN NOT NULL,
    head BIGINT,
    running BIGINT NOT NULL,
    UNIQUE (project_id, tag_set_id, protected)
);
CREATE INDEX queue_lanes_fair ON queue_lanes (running, head) WHERE head IS NOT NULL;
CREATE INDEX queue_lanes_head ON queue_lanes (head) WHERE head IS NOT NULL;

CREATE TABLE queue (
    job_id BIGINT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    lane_id BIGINT NOT NULL REFERENCES queue_lanes (id) ON DELETE CASCADE
);
CREATE INDEX queue_lane ON queue (lane_id, job_id);

-- Traces and artifacts -------------------------------------------------------------------------------------------

-- `object_key` is NULL while the bytes are in `trace_chunks`.
CREATE TABLE traces (
    job_id BIGINT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    size BIGINT NOT NULL,
    crc32 BIGINT NOT NULL,
    object_key TEXT,
    updated_at BIGINT NOT NULL
);
CREATE INDEX traces_unsealed ON traces (job_id) WHERE object_key IS NULL;

CREATE TABLE trace_chunks (
    job_id BIGINT NOT NULL REFERENCES traces (job_id) ON DELETE CASCADE,
    start BIGINT NOT NULL,
    bytes {{blob}} NOT NULL,
    PRIMARY KEY (job_id, start)
);

CREATE TABLE artifacts (
    id {{id}},
    job_id BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    project_id BIGINT NOT NULL,
    file_type TEXT NOT NULL,
    file_format TEXT NOT NULL,
    filename TEXT NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    object_key TEXT NOT NULL UNIQUE,
    accessibility TEXT NOT NULL,
    locked BOOLEAN NOT NULL,
    expire_at BIGINT,
    created_at BIGINT NOT NULL,
    UNIQUE (job_id, file_type)
);
CREATE INDEX artifacts_project ON artifacts (project_id, id);
CREATE INDEX artifacts_expired ON artifacts (expire_at) WHERE expire_at IS NOT NULL;
