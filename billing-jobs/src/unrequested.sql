-- LOG-2: billable events of the month without a landed request of the same identity where they say it is.
CREATE VIEW unrequested AS
SELECT events.customer_id, events.request_id
FROM events
LEFT ANTI JOIN requests
    ON requests."partition" = events.request_partition
    AND requests."offset" = events.request_offset
    AND requests.append_time = events.accepted_at
    AND requests.customer_id = events.customer_id
    AND requests.request_id = events.request_id
    AND requests.fingerprint = events.fingerprint
WHERE events.outcome = 'done'
