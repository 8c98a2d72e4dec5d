-- A group that is deleted leaves the groups that it was in.

CREATE INDEX nested_groups_by_child ON directory.nested_groups (child_reference);
DELETE FROM directory.nested_groups n USING directory.groups p, directory.groups c
WHERE p.id = n.parent_id AND c.source = p.source AND c.native_id = n.child_reference AND c.tombstone IS NOT NULL;
