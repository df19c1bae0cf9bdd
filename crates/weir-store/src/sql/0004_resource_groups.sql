-- Jobs of one group, over all pipelines of the project, run one at a time.
CREATE TABLE resource_groups (
    id {{id}},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    process_mode TEXT NOT NULL,
    -- The job that was last given the resource; it holds it while it is on its way to its end. No reference: a pipeline
    -- that is deleted must not wait for a group that is being assigned.
    job_id BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (project_id, key)
);

-- Groups go with their project, as its jobs do.
ALTER TABLE jobs ADD COLUMN resource_group_id BIGINT;
CREATE INDEX jobs_resource_group ON jobs (resource_group_id, status, pipeline_id, id)
    WHERE resource_group_id IS NOT NULL;
