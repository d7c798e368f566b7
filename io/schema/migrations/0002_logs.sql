-- What became of the events: the effects that the real-time path published.
CREATE TABLE IF NOT EXISTS {{table "profile_versions"}}
(
    topic_id      UUID,
    partition     UInt32,
    offset        UInt64,
    appended      DateTime64(3, 'UTC')     COMMENT 'When the record was written',
    id            String                   COMMENT 'ID of the effect',
    raw           String                   COMMENT 'The record as published' CODEC(ZSTD(3)),
    profile_id    String                   MATERIALIZED JSONExtractString(raw, 'profile_id'),
    time          DateTime64(3, 'UTC')     MATERIALIZED parseDateTime64BestEffortOrZero(JSONExtractString(raw, 'time'), 3, 'UTC') COMMENT 'Receive time of the event, or due time, that changed the profile',
    trace         String                   MATERIALIZED JSONExtractString(raw, 'trace') COMMENT 'event_id of the event that changed it',
    superseded_by String                   MATERIALIZED JSONExtractString(raw, 'superseded_by') COMMENT 'Profile that it became part of; empty: it stands for itself',
    event_count   UInt64                   MATERIALIZED JSONExtractUInt(raw, 'profile', 'events'),
    first_seen    Nullable(DateTime64(3, 'UTC')) MATERIALIZED parseDateTime64BestEffortOrNull(JSONExtractString(raw, 'profile', 'first_seen'), 3, 'UTC'),
    last_seen     Nullable(DateTime64(3, 'UTC')) MATERIALIZED parseDateTime64BestEffortOrNull(JSONExtractString(raw, 'profile', 'last_seen'), 3, 'UTC'),
    identifiers   Array(Tuple(key LowCardinality(String), value String, first_seen String, last_seen String, events UInt64))
                                           MATERIALIZED JSONExtract(raw, 'profile', 'identifiers', 'Array(Tuple(key LowCardinality(String), value String, first_seen String, last_seen String, events UInt64))'),
    attributes    JSON                     MATERIALIZED JSONExtract(ifNull(nullIf(JSONExtractRaw(raw, 'profile', 'attributes'), ''), '{}'), 'JSON')
)
ENGINE = {{replacing "time"}}
ORDER BY profile_id
COMMENT 'The latest version of every profile. Ask the view profiles instead';

CREATE VIEW IF NOT EXISTS {{table "profiles"}} AS
SELECT profile_id, event_count, first_seen, last_seen, identifiers, attributes, time, trace
FROM {{name "profile_versions"}} FINAL
WHERE superseded_by = ''
COMMENT 'Profiles as they are now, as far as they have been published: at most once a second each';

CREATE VIEW IF NOT EXISTS {{table "identifiers"}} AS
SELECT i.key AS key, i.value AS value, profile_id,
       parseDateTime64BestEffortOrNull(i.first_seen, 3, 'UTC') AS first_seen, parseDateTime64BestEffortOrNull(i.last_seen, 3, 'UTC') AS last_seen, i.events AS event_count
FROM {{name "profiles"}} ARRAY JOIN identifiers AS i
COMMENT 'Who an identifier belongs to: one row for each that a profile lists';

CREATE TABLE IF NOT EXISTS {{table "identity_log"}}
(
    topic_id  UUID,
    partition UInt32,
    offset    UInt64,
    appended  DateTime64(3, 'UTC'),
    id        String,
    raw       String CODEC(ZSTD(3)),
    time      DateTime64(3, 'UTC')    MATERIALIZED parseDateTime64BestEffortOrZero(JSONExtractString(raw, 'time'), 3, 'UTC'),
    trace     String                  MATERIALIZED JSONExtractString(raw, 'trace') COMMENT 'event_id of the event that caused it',
    kind      LowCardinality(String)  MATERIALIZED JSONExtractString(raw, 'kind'),
    before    Array(String)           MATERIALIZED JSONExtract(raw, 'before', 'Array(String)') COMMENT 'Profiles that there were',
    after     String                  MATERIALIZED JSONExtractString(raw, 'after') COMMENT 'Profile that there is',
    leader    String                  MATERIALIZED JSONExtractString(raw, 'leader') COMMENT 'The more identifying end of the link that decided, KEY:VALUE',
    other     String                  MATERIALIZED JSONExtractString(raw, 'other') COMMENT 'Its other end',
    moved     Array(String)           MATERIALIZED JSONExtract(raw, 'moved', 'Array(String)') COMMENT 'Identifiers that went over'
)
ENGINE = {{replacing ""}}
ORDER BY id
{{ttl "appended"}}
COMMENT 'Ask the view identity_changes instead';

CREATE VIEW IF NOT EXISTS {{table "identity_changes"}} AS
SELECT time, kind, before, after, leader, other, moved, trace, id
FROM {{name "identity_log"}} FINAL
COMMENT 'Who was joined, moved or split, when, and by which event';

CREATE TABLE IF NOT EXISTS {{table "rejected_log"}}
(
    topic_id  UUID,
    partition UInt32,
    offset    UInt64,
    appended  DateTime64(3, 'UTC'),
    id        String,
    raw       String CODEC(ZSTD(3)),
    received  DateTime64(3, 'UTC')   MATERIALIZED fromUnixTimestamp64Milli(JSONExtractInt(raw, 'received'), 'UTC'),
    trace     String                 MATERIALIZED JSONExtractString(raw, 'trace') COMMENT 'event_id, where it is known',
    reason    LowCardinality(String) MATERIALIZED JSONExtractString(raw, 'reason'),
    field     String                 MATERIALIZED JSONExtractString(raw, 'field'),
    detail    String                 MATERIALIZED JSONExtractString(raw, 'detail'),
    fix       String                 MATERIALIZED JSONExtractString(raw, 'fix'),
    topic     LowCardinality(String) MATERIALIZED JSONExtractString(raw, 'topic') COMMENT 'Where the record was read, with its partition and offset',
    of_partition UInt32              MATERIALIZED JSONExtractUInt(raw, 'partition'),
    of_offset UInt64                 MATERIALIZED JSONExtractUInt(raw, 'offset'),
    value     String                 MATERIALIZED tryBase64Decode(JSONExtractString(raw, 'value')) COMMENT 'The record, or its beginning'
)
ENGINE = {{replacing ""}}
ORDER BY id
{{ttl "appended"}}
COMMENT 'Ask the view rejected instead';

CREATE VIEW IF NOT EXISTS {{table "rejected"}} AS
SELECT received, reason, field, detail, fix, trace, topic, of_partition AS partition, of_offset AS offset, value, id
FROM {{name "rejected_log"}} FINAL
COMMENT 'Records that could not be used, why, and what to do about it; braid replay-rejected sends them again';
