-- LOG-1: each landed request record of the month, and whether an event or a dead letter names it.
--
-- A record is named by its partition, offset and append time: the last tells a re-created topic's offsets from the old.
-- An answer also has the request's identity; a dead letter also its digest, which only an undecodable request was landed with.
CREATE VIEW accepted AS
WITH answers AS (
    SELECT DISTINCT request_partition, request_offset, accepted_at, customer_id, request_id, fingerprint FROM events
),
dead AS (
    SELECT DISTINCT letter_partition, letter_offset, letter_append_time, letter_sha256
    FROM letters
    WHERE letter_topic = 'resize.requests'
)
SELECT
    requests.request_id,
    requests."partition",
    requests."offset",
    answers.request_offset IS NOT NULL AS answered,
    dead.letter_offset IS NOT NULL AS dead
FROM requests
LEFT JOIN answers
    ON answers.request_partition = requests."partition"
    AND answers.request_offset = requests."offset"
    AND answers.accepted_at = requests.append_time
    AND answers.customer_id = requests.customer_id
    AND answers.request_id = requests.request_id
    AND answers.fingerprint = requests.fingerprint
LEFT JOIN dead
    ON dead.letter_partition = requests."partition"
    AND dead.letter_offset = requests."offset"
    AND dead.letter_append_time = requests.append_time
    AND dead.letter_sha256 = requests.record_sha256
