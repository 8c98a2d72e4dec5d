-- That a source is left alone since it keeps failing is an event, and so is that it is read again.

ALTER TABLE working.source_status ADD COLUMN backed_off_for text;
COMMENT ON COLUMN working.source_status.backed_off_for IS 'why the last runs failed, as a class; null: the last one did not';
