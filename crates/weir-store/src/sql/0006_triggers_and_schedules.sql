-- What starts pipelines besides people and pushes. A trigger's token is found by its digest, and sealed besides:
-- GitLab shows it to its owner again.
CREATE TABLE triggers (
    id {{id}},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    owner_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    description TEXT,
    digest {{blob}} NOT NULL UNIQUE,
    token {{blob}} NOT NULL,
    short_token TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT
);
CREATE INDEX triggers_project ON triggers (project_id, id);
CREATE INDEX triggers_owner ON triggers (owner_id);

-- `due_at` is when the schedule is looked at: at its next run if it is active, and a while later while a run is
-- under way.
CREATE TABLE pipeline_schedules (
    id {{id}},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    owner_id BIGINT REFERENCES users (id) ON DELETE SET NULL,
    description TEXT NOT NULL,
    ref TEXT NOT NULL,
    cron TEXT NOT NULL,
    cron_timezone TEXT NOT NULL,
    active BOOLEAN NOT NULL,
    inputs TEXT NOT NULL,
    next_run_at BIGINT,
    due_at BIGINT,
    attempts BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX pipeline_schedules_project ON pipeline_schedules (project_id, id);
CREATE INDEX pipeline_schedules_owner ON pipeline_schedules (owner_id);
CREATE INDEX pipeline_schedules_due ON pipeline_schedules (due_at) WHERE due_at IS NOT NULL;

-- Sealed.
CREATE TABLE pipeline_schedule_variables (
    id {{id}},
    schedule_id BIGINT NOT NULL REFERENCES pipeline_schedules (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value {{blob}} NOT NULL,
    variable_type TEXT NOT NULL,
    raw BOOLEAN NOT NULL,
    UNIQUE (schedule_id, key)
);

ALTER TABLE pipelines ADD COLUMN trigger_id BIGINT REFERENCES triggers (id) ON DELETE SET NULL;
ALTER TABLE pipelines ADD COLUMN pipeline_schedule_id BIGINT REFERENCES pipeline_schedules (id) ON DELETE SET NULL;
CREATE INDEX pipelines_trigger ON pipelines (trigger_id, id) WHERE trigger_id IS NOT NULL;
CREATE INDEX pipelines_schedule ON pipelines (pipeline_schedule_id, id) WHERE pipeline_schedule_id IS NOT NULL;
