ALTER TABLE projects ADD COLUMN last_deployment_iid BIGINT NOT NULL DEFAULT 0;

CREATE TABLE environments (
    id {{id}},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    slug TEXT NOT NULL,
    -- The name up to its first slash.
    folder TEXT,
    external_url TEXT,
    description TEXT,
    tier TEXT NOT NULL,
    state TEXT NOT NULL,
    auto_stop_setting TEXT NOT NULL,
    auto_stop_at BIGINT,
    auto_delete_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (project_id, name),
    UNIQUE (project_id, slug)
);
CREATE INDEX environments_auto_stop ON environments (auto_stop_at)
    WHERE auto_stop_at IS NOT NULL AND state = 'available';
CREATE INDEX environments_auto_delete ON environments (auto_delete_at)
    WHERE auto_delete_at IS NOT NULL AND state = 'stopped';

CREATE TABLE deployments (
    id {{id}},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    environment_id BIGINT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    iid BIGINT NOT NULL,
    ref TEXT NOT NULL,
    tag BOOLEAN NOT NULL,
    sha TEXT NOT NULL,
    status TEXT NOT NULL,
    user_id BIGINT REFERENCES users (id) ON DELETE SET NULL,
    -- The job that deploys; NULL for what was reported. The job may be gone.
    job_id BIGINT,
    -- The job of the same pipeline that stops the environment.
    on_stop TEXT,
    -- The environment's URL with the variables that were known when the job started.
    url TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    finished_at BIGINT,
    UNIQUE (project_id, iid)
);
CREATE UNIQUE INDEX deployments_job ON deployments (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX deployments_environment ON deployments (environment_id, status, finished_at);
CREATE INDEX deployments_project ON deployments (project_id, id);
CREATE INDEX deployments_ref ON deployments (project_id, ref);
