-- What the models of scores learn from.
CREATE TABLE IF NOT EXISTS {{table "score_features"}}
(
    run       UInt64,
    score     LowCardinality(String),
    person    String,
    now       Bool    COMMENT 'Whether it is as of the run; else as of a horizon before, and what came since is known',
    recency   Float64 COMMENT 'Days since the last event, as ln(1 + x), like the other features',
    frequency Float64 COMMENT 'Number of events',
    monetary  Float64 COMMENT 'Sum of their amounts',
    tenure    Float64 COMMENT 'Days since the first event',
    pause     Float64 COMMENT 'Days between two events, on average',
    churned   Bool    COMMENT 'Whether no event came in the horizon'
)
ENGINE = {{plain}}
PARTITION BY run
ORDER BY (run, score, person)
COMMENT 'What the models of scores learn from';
