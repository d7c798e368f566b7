-- Why links and values were refused, and identifiers evicted.
ALTER TABLE {{table "identity_log"}}
    ADD COLUMN IF NOT EXISTS reason LowCardinality(String) MATERIALIZED JSONExtractString(raw, 'reason') COMMENT 'Why a link was refused or identifiers were evicted',
    ADD COLUMN IF NOT EXISTS refused Array(Tuple(key String, value String, reason String)) MATERIALIZED JSONExtract(raw, 'refused', 'Array(Tuple(key String, value String, reason String))') COMMENT 'Values that identify nobody, and why';

CREATE OR REPLACE VIEW {{table "identity_changes"}} AS
SELECT time, kind, before, after, leader, other, moved, reason, refused, trace, id
FROM {{name "identity_log"}} FINAL
COMMENT 'Who was joined, moved or split, what was refused, when, why, and by which event';
