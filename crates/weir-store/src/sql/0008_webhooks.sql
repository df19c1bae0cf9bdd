CREATE TABLE webhooks (
    id {{id}},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    -- URL and token, sealed.
    secrets {{blob}} NOT NULL,
    name TEXT,
    description TEXT,
    events TEXT NOT NULL,
    branch_filter TEXT,
    branch_filter_strategy TEXT NOT NULL,
    ssl_verification BOOLEAN NOT NULL,
    failures BIGINT NOT NULL,
    disabled_until BIGINT,
    -- Until when somebody sends its deliveries.
    busy_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX webhooks_project ON webhooks (project_id, id);

-- What is still to be sent.
CREATE TABLE webhook_deliveries (
    id {{id}},
    hook_id BIGINT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    payload TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    due_at BIGINT NOT NULL
);
CREATE INDEX webhook_deliveries_hook ON webhook_deliveries (hook_id, id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (due_at);

-- Each attempt, kept for some days.
CREATE TABLE webhook_events (
    id {{id}},
    hook_id BIGINT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    url TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_headers TEXT NOT NULL,
    request_data TEXT NOT NULL,
    response_headers TEXT NOT NULL,
    response_body TEXT NOT NULL,
    response_status TEXT NOT NULL,
    error TEXT,
    duration DOUBLE PRECISION NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX webhook_events_hook ON webhook_events (hook_id, id);
CREATE INDEX webhook_events_age ON webhook_events (created_at);

ALTER TABLE pushes ADD COLUMN webhooks BOOLEAN NOT NULL DEFAULT FALSE;
