-- Every record of the stream, with what Braid decided about it.
CREATE TABLE IF NOT EXISTS {{table "stream"}}
(
    topic_id        UUID                              COMMENT 'Kafka''s own ID of the topic: one that was created anew has another',
    partition       UInt32                            COMMENT 'Kafka partition',
    offset          UInt64                            COMMENT 'Place within the partition' CODEC(Delta, ZSTD),
    epoch           UInt64                            COMMENT 'Greatest marker before the record in its partition' CODEC(Delta, ZSTD),
    kind            Enum8('event' = 1, 'rejected' = 2, 'marker' = 3, 'tick' = 4) COMMENT 'What the record is; rejected ones are in the view rejected, too, with the reason in words',
    reason          LowCardinality(String)            COMMENT 'Why it was rejected; empty otherwise',
    appended        DateTime64(3, 'UTC')              COMMENT 'When the broker or the producer stamped it' CODEC(DoubleDelta, ZSTD),
    received        DateTime64(3, 'UTC')              COMMENT 'When Braid received it; a replay keeps it' CODEC(DoubleDelta, ZSTD),
    time            DateTime64(3, 'UTC')              COMMENT 'When it happened, by the sender''s clock' CODEC(Delta, ZSTD),
    order_time      DateTime64(3, 'UTC')              COMMENT 'time, but not far from received: what orders events' CODEC(Delta, ZSTD),
    seq             UInt64                            COMMENT 'Number that the client gave it; 0: none',
    event_id        String                            COMMENT 'The sender''s ID; a retry has the same',
    table           LowCardinality(String)            COMMENT 'Event table',
    source          LowCardinality(String)            COMMENT 'Where it came from',
    cell            String                            COMMENT 'ID of its set of identifiers: events with the same one are summarized together',
    identifiers     Map(LowCardinality(String), String) COMMENT 'Valid identifiers, normalized, by stitching key',
    definitions     Array(LowCardinality(String))     COMMENT 'Event definitions that it meets',
    raw             String                            COMMENT 'The record as received, byte by byte' CODEC(ZSTD(3)),
    properties_text String EPHEMERAL '{}'             COMMENT 'Only for inserting',
    context_text    String EPHEMERAL '{}'             COMMENT 'Only for inserting',
    properties      JSON DEFAULT JSONExtract(properties_text, 'JSON') COMMENT 'Fields of the event; a new one is a new column by itself. Numbers that 64 bits do not hold exactly are texts',
    context         JSON DEFAULT JSONExtract(context_text, 'JSON')    COMMENT 'Circumstances of the event, likewise',
    INDEX by_time time TYPE minmax GRANULARITY 1,
    INDEX by_received received TYPE minmax GRANULARITY 1,
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = {{replacing ""}}
ORDER BY (topic_id, partition, offset)
{{ttl "received"}}
COMMENT 'Every record of the stream as Braid read it, once by its place. Ask the view events instead';

CREATE VIEW IF NOT EXISTS {{table "events"}} AS
SELECT event_id, table, time, received, order_time, identifiers, properties, context, definitions, source, seq, cell, epoch, partition, offset, raw
FROM {{name "stream"}} FINAL
WHERE kind = 'event'
COMMENT 'Events, each once per sending: a sender''s retry is there again under the same event_id';
