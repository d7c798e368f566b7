-- What batch runs found. Rows of a run are written before it is done; views show the last run that was.
CREATE TABLE IF NOT EXISTS {{table "batch_runs"}}
(
    run       UInt64                 COMMENT 'Number of the run',
    state     LowCardinality(String) COMMENT 'running, done or failed',
    changed   DateTime64(3, 'UTC')   COMMENT 'When it became so',
    began     DateTime64(3, 'UTC'),
    whole     Bool                   COMMENT 'Whether all history was read, not only what is new',
    epoch     UInt64                 COMMENT 'First epoch that the run leaves out',
    snapshot  UInt64                 COMMENT 'Number of the snapshot that it published',
    events    UInt64                 COMMENT 'Events read',
    cells     UInt64                 COMMENT 'Sets of identifiers that had events',
    profiles  UInt64                 COMMENT 'People and browsers that the identity graph tells apart',
    scored    UInt64                 COMMENT 'Values of the profile key that have scores or imports',
    notes     String                 COMMENT 'What else is to be said, or why it failed'
)
ENGINE = {{replacing "changed"}}
ORDER BY run
COMMENT 'Batch runs. Ask the view runs instead';

CREATE VIEW IF NOT EXISTS {{table "runs"}} AS
SELECT run, state, began, changed, whole, epoch, snapshot, events, cells, profiles, scored, notes
FROM {{name "batch_runs"}} FINAL
COMMENT 'Batch runs, each as it is now';

CREATE TABLE IF NOT EXISTS {{table "graph_identifiers"}}
(
    run        UInt64,
    key        LowCardinality(String),
    value      String,
    profile_id String,
    person     String,
    first      DateTime64(3, 'UTC'),
    last       DateTime64(3, 'UTC'),
    events     UInt64
)
ENGINE = {{plain}}
PARTITION BY run
ORDER BY (run, key, value)
COMMENT 'The identity graph of each run. Ask the view canonical_identifiers instead';

CREATE VIEW IF NOT EXISTS {{table "canonical_identifiers"}} AS
SELECT key, value, profile_id, person, first, last, events
FROM {{name "graph_identifiers"}}
WHERE run = (SELECT max(run) FROM {{name "batch_runs"}} FINAL WHERE state = 'done')
COMMENT 'Whose each identifier is, by all of history: profile ID, and person, the value of the profile key, empty when there is none';

CREATE VIEW IF NOT EXISTS {{table "key_statistics"}} AS
SELECT key, uniqExact(value) AS identifiers, uniqExact(profile_id) AS profiles, max(n) AS most_in_a_profile, sum(events) AS events
FROM (SELECT key, value, profile_id, events, count() OVER (PARTITION BY key, profile_id) AS n FROM {{name "canonical_identifiers"}})
GROUP BY key
COMMENT 'How many identifiers of each stitching key there are, and how many of them one profile has at most';

CREATE TABLE IF NOT EXISTS {{table "graph_cells"}}
(
    run        UInt64,
    cell       String,
    profile_id String,
    person     String
)
ENGINE = {{plain}}
PARTITION BY run
ORDER BY (run, cell)
COMMENT 'Whose the events of each set of identifiers are, by run';

CREATE VIEW IF NOT EXISTS {{table "people_events"}} AS
SELECT c.profile_id AS profile_id, c.person AS person, e.*
FROM {{name "events"}} AS e
INNER JOIN (SELECT cell, profile_id, person FROM {{name "graph_cells"}} WHERE run = (SELECT max(run) FROM {{name "batch_runs"}} FINAL WHERE state = 'done')) AS c ON c.cell = e.cell
COMMENT 'Events with whose they are, by the identity graph of the last batch run';

CREATE TABLE IF NOT EXISTS {{table "score_items"}}
(
    run    UInt64,
    score  LowCardinality(String),
    person String,
    item   String,
    place  UInt16 COMMENT '1: the one touched last'
)
ENGINE = {{plain}}
PARTITION BY run
ORDER BY (run, score, person, place)
COMMENT 'Which items each person has had, of scores that offer items';

CREATE TABLE IF NOT EXISTS {{table "score_rows"}}
(
    run    UInt64,
    score  LowCardinality(String),
    person String,
    values Map(LowCardinality(String), String)
)
ENGINE = {{plain}}
PARTITION BY run
ORDER BY (run, score, person)
COMMENT 'Scores of each run. Ask the view scores instead';

CREATE VIEW IF NOT EXISTS {{table "scores"}} AS
SELECT score, person, values
FROM {{name "score_rows"}}
WHERE run = (SELECT max(run) FROM {{name "batch_runs"}} FINAL WHERE state = 'done')
COMMENT 'Scores of the last batch run, by value of the profile key';
