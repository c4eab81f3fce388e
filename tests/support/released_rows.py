"""Rows as each released revision of the schema could hold them, in statements that both databases take.

Whoever adds a revision adds its rows here: a test brings them to the newest.
"""

ROWS = {
    "0001": """\
INSERT INTO organizations (id, name, created) VALUES ('org_A', 'acme', 1);
INSERT INTO projects (id, org_id, name, created) VALUES ('prj_A', 'org_A', 'default', 1);
INSERT INTO members (id, org_id, email, created) VALUES ('mem_A', 'org_A', 'ada@example.com', 1);
INSERT INTO grants (member_id, org_id, role) VALUES ('mem_A', 'org_A', 'org_admin');
INSERT INTO grants (member_id, org_id, role, project_id) VALUES ('mem_A', 'org_A', 'member', 'prj_A');
INSERT INTO keys (id, org_id, project_id, member_id, kind, name, digest, last_four, scopes, created, replaced_by,
  overlap_until) VALUES
  ('B', 'org_A', 'prj_A', 'mem_A', 'inference', 'ci', '1', '1234', '["inference"]', 1, NULL, NULL),
  ('A', 'org_A', 'prj_A', 'mem_A', 'inference', 'ci', '1', '1234', '["inference"]', 1, 'B', 2);
INSERT INTO invitations (id, org_id, email, role, digest, created, expires) VALUES ('A', 'org_A', 'bob@example.com',
  'billing', '1', 1, 2);
INSERT INTO audit (at, org_id, actor, action, target, request_id) VALUES
  (1, 'org_A', 'operator:x', 'org.create', 'org_A', '');
INSERT INTO instances (id, host, pid, started, heartbeat) VALUES ('ins_A', 'h', 1, 1, 1)"""
}
