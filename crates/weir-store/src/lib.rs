//! All that lasts: one SQL text on SQLite and PostgreSQL, objects in files or S3.
