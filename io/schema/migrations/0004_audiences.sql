-- Who was in which audience, when, and why.
CREATE TABLE IF NOT EXISTS {{table "audience_log"}}
(
    topic_id   UUID,
    partition  UInt32,
    offset     UInt64,
    appended   DateTime64(3, 'UTC'),
    id         String,
    raw        String CODEC(ZSTD(3)),
    time       DateTime64(3, 'UTC')   MATERIALIZED parseDateTime64BestEffortOrZero(JSONExtractString(raw, 'time'), 3, 'UTC'),
    trace      String                 MATERIALIZED JSONExtractString(raw, 'trace') COMMENT 'event_id of the event that caused it; due: it was time alone',
    profile_id String                 MATERIALIZED JSONExtractString(raw, 'profile_id'),
    audience   LowCardinality(String) MATERIALIZED JSONExtractString(raw, 'audience'),
    change     LowCardinality(String) MATERIALIZED JSONExtractString(raw, 'change') COMMENT 'entered or left',
    because    String                 MATERIALIZED JSONExtractRaw(raw, 'because') COMMENT 'Attributes that the condition looks at, as JSON'
)
ENGINE = {{replacing ""}}
ORDER BY id
{{ttl "appended"}}
COMMENT 'Ask the views audience_changes and audience_members instead';

CREATE VIEW IF NOT EXISTS {{table "audience_changes"}} AS
SELECT time, audience, change, profile_id, because, trace, id
FROM {{name "audience_log"}} FINAL
COMMENT 'Who entered and left which audience, when, and why';

CREATE VIEW IF NOT EXISTS {{table "audience_members"}} AS
SELECT audience, profile_id, max(time) AS since
FROM {{name "audience_log"}} FINAL
GROUP BY audience, profile_id
HAVING argMax(change, (time, length(id), id)) = 'entered'
COMMENT 'Who is in which audience now, and since when';
