ALTER TABLE projects ADD COLUMN forked_from_id BIGINT REFERENCES projects (id) ON DELETE SET NULL;
ALTER TABLE projects ADD COLUMN last_merge_request_iid BIGINT NOT NULL DEFAULT 0;
CREATE INDEX projects_forks ON projects (forked_from_id, id) WHERE forked_from_id IS NOT NULL;

CREATE TABLE merge_requests (
    id {{id}},
    target_project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    iid BIGINT NOT NULL,
    -- NULL once the source project is gone.
    source_project_id BIGINT REFERENCES projects (id) ON DELETE SET NULL,
    source_branch TEXT NOT NULL,
    target_branch TEXT NOT NULL,
    title TEXT NOT NULL,
    description TEXT,
    author_id BIGINT REFERENCES users (id) ON DELETE SET NULL,
    assignee_id BIGINT REFERENCES users (id) ON DELETE SET NULL,
    -- A JSON array of texts.
    labels TEXT NOT NULL,
    state TEXT NOT NULL,
    merge_status TEXT NOT NULL,
    -- The newest commit that came from the source branch, and the newest diff: its id and its base.
    sha TEXT NOT NULL,
    diff_id BIGINT NOT NULL,
    base_sha TEXT,
    remove_source_branch BOOLEAN NOT NULL,
    merge_commit_sha TEXT,
    merged_by BIGINT REFERENCES users (id) ON DELETE SET NULL,
    merged_at BIGINT,
    closed_by BIGINT REFERENCES users (id) ON DELETE SET NULL,
    closed_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (target_project_id, iid)
);
CREATE INDEX merge_requests_source ON merge_requests (source_project_id, source_branch, state);
CREATE INDEX merge_requests_author ON merge_requests (author_id, id);
CREATE INDEX merge_requests_assignee ON merge_requests (assignee_id, id) WHERE assignee_id IS NOT NULL;

-- Each state in which a merge request was.
CREATE TABLE merge_request_diffs (
    id {{id}},
    merge_request_id BIGINT NOT NULL REFERENCES merge_requests (id) ON DELETE CASCADE,
    sha TEXT NOT NULL,
    base_sha TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX merge_request_diffs_request ON merge_request_diffs (merge_request_id, id);

-- Who let exactly this commit of another project run in the target project, and with which access level.
CREATE TABLE pipeline_approvals (
    merge_request_id BIGINT NOT NULL REFERENCES merge_requests (id) ON DELETE CASCADE,
    sha TEXT NOT NULL,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    access_level BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (merge_request_id, sha, user_id)
);

-- Without a foreign key: a pipeline must not forget that it ran for a merge request that is gone.
ALTER TABLE pipelines ADD COLUMN merge_request_id BIGINT;
CREATE INDEX pipelines_merge_request ON pipelines (merge_request_id, id) WHERE merge_request_id IS NOT NULL;
