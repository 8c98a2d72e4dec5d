-- Who seems to be on the other side of a source that pushes.

ALTER TABLE working.source_status ADD COLUMN dialect text;
COMMENT ON COLUMN working.source_status.dialect IS 'of SCIM, as configured or as the shapes of its requests tell; null: by the standard, or not known';
