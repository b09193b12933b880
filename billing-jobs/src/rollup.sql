-- The winners of one id-hour, added up per customer, billing hour and all that a price may depend on.
--
-- SUM(BIGINT) would wrap silently. A DECIMAL(38, 0) holds 10^19 times the largest BIGINT, more rows than there can be.
SELECT
    customer_id,
    date_trunc('hour', accepted_at) AS billing_hour,
    region, operation, input_format, output_format, outcome,
    count(*) AS conversions,
    sum(CAST(input_bytes AS DECIMAL(38, 0))) AS input_bytes,
    sum(CAST(output_bytes AS DECIMAL(38, 0))) AS output_bytes,
    sum(CAST(input_pixels AS DECIMAL(38, 0))) AS input_pixels,
    sum(CAST(output_pixels AS DECIMAL(38, 0))) AS output_pixels,
    sum(CAST(cpu_micros AS DECIMAL(38, 0))) AS cpu_micros
FROM winners
GROUP BY customer_id, billing_hour, region, operation, input_format, output_format, outcome
ORDER BY customer_id, billing_hour, region, operation, input_format, output_format, outcome
