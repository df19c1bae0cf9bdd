-- Jobs that other systems run and report, in the stage `external`. They have no definition.
ALTER TABLE jobs ADD COLUMN external BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE jobs ADD COLUMN target_url TEXT;
ALTER TABLE jobs ADD COLUMN description TEXT;
