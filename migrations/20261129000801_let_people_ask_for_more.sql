-- What people may ask of the revoker: that it tries again at once what is owed, and that it looks at somebody's sessions.

ALTER TABLE ledger.requests DROP CONSTRAINT requests_kind_check;
ALTER TABLE ledger.requests ADD CONSTRAINT requests_kind_check
    CHECK (kind IN ('revoke', 'sync', 'plan', 'approve', 'reject', 'retry', 'pause', 'resume', 'retry_owed', 'look', 'lock',
                    'unlock'));
