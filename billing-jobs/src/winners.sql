-- The winners among the landed events of one id-hour: exactly one per conversion.
--
-- Done before rejected, then the earliest billing time, then the event's own lowest (epoch, partition, offset).
-- Only conversions that were answered more than once are ranked; they are few.
WITH repeated AS (
    SELECT customer_id, request_id, fingerprint
    FROM events
    GROUP BY customer_id, request_id, fingerprint
    HAVING count(*) > 1
),
ranked AS (
    SELECT
        events.*,
        row_number() OVER (
            PARTITION BY customer_id, request_id, fingerprint
            ORDER BY CASE outcome WHEN 'done' THEN 0 ELSE 1 END, accepted_at, epoch, "partition", "offset"
        ) AS place
    FROM events
    LEFT SEMI JOIN repeated USING (customer_id, request_id, fingerprint)
)
SELECT
    customer_id, request_id, fingerprint, accepted_at, region, operation, input_format, output_format, outcome,
    input_bytes, output_bytes, input_pixels, output_pixels, cpu_micros
FROM events
LEFT ANTI JOIN repeated USING (customer_id, request_id, fingerprint)
UNION ALL
SELECT
    customer_id, request_id, fingerprint, accepted_at, region, operation, input_format, output_format, outcome,
    input_bytes, output_bytes, input_pixels, output_pixels, cpu_micros
FROM ranked
WHERE place = 1
