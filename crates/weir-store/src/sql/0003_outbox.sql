-- What a change of one pipeline asks for elsewhere, written with the change and done in a transaction of its own.
CREATE TABLE outbox (
    id {{id}},
    task TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (due_at, id);
