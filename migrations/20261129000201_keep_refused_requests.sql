-- What a source sent and nobody could understand is shown redacted, and for a week can be carried out again.

ALTER TABLE ledger.parked
    ADD COLUMN example jsonb,
    ADD COLUMN retried_at timestamptz,
    ADD COLUMN retry_error text,
    ADD COLUMN resolved_at timestamptz;
COMMENT ON TABLE ledger.parked IS 'durable: what a source sent and nobody could understand; places, reasons and shapes, no content';
COMMENT ON COLUMN ledger.parked.example IS 'the latest such request, redacted: names of attributes and kinds of values';
COMMENT ON COLUMN ledger.parked.retry_error IS 'why the latest retry failed; null after one that did not';
COMMENT ON COLUMN ledger.parked.resolved_at IS 'a retry carried all of it out; null again when it comes again';
CREATE INDEX parked_open ON ledger.parked (last_seen) WHERE resolved_at IS NULL;

CREATE TABLE working.refused_requests (
    id uuid PRIMARY KEY,
    parked uuid NOT NULL REFERENCES ledger.parked,
    method text NOT NULL CHECK (method IN ('POST', 'PUT', 'PATCH', 'DELETE')),
    path text NOT NULL,
    body jsonb,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX refused_requests_by_record ON working.refused_requests (parked, received_at);
CREATE INDEX refused_requests_by_age ON working.refused_requests (received_at);
COMMENT ON TABLE working.refused_requests IS 'operational: refused requests as they were sent, without passwords; erased when carried out, and after seven days';
COMMENT ON COLUMN working.refused_requests.path IS 'below the source, such as /Users/{id}';

ALTER TABLE ledger.requests DROP CONSTRAINT requests_kind_check;
ALTER TABLE ledger.requests
    ADD CONSTRAINT requests_kind_check CHECK (kind IN ('revoke', 'sync', 'plan', 'approve', 'retry'));

GRANT SELECT, INSERT, DELETE ON working.refused_requests TO leaver_sync;
-- Whether something can be carried out again, not what it is.
GRANT SELECT (parked, received_at) ON working.refused_requests TO leaver_console;
