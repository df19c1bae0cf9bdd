-- What is to be said of a job beside its failure reason.
CREATE TABLE job_messages (
    id {{id}},
    job_id BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    content TEXT NOT NULL
);
CREATE INDEX job_messages_job ON job_messages (job_id);
