"""Rows as each released revision of the schema could hold them, in statements that both databases take.

Whoever adds a revision adds its rows here: a test brings them to the newest.
"""

_ACCOUNTS = """\
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

_LEDGER = """\
INSERT INTO limits (id, org_id, subject, subject_id, model, metric, window_s, capacity, level, updated_ms) VALUES
  ('lim_A', 'org_A', 'organization', 'org_A', '', 'requests', 60, 5, 300000, 1),
  ('lim_B', 'org_A', 'key', 'A', 'm', 'concurrency', 0, 5, 1, 0);
INSERT INTO prices (id, model, currency, valid_from, valid_until, input, cached_input, output, batch_permille,
  flex_permille, priority_permille) VALUES ('pri_A', 'm', 'USD', 1, NULL, 350, 100, 750, 500, 500, 1500);
INSERT INTO wallets (org_id, currency, prepaid, balance, reserved) VALUES ('org_A', 'USD', 1, 90, 0);
INSERT INTO credits (id, org_id, amount, remaining, created, expires, note) VALUES ('crd_A', 'org_A', 100, 90, 1, NULL,
  '');
INSERT INTO requests (id, request_id, org_id, project_id, key_id, model, instance_id, slot, state, permille, price_id,
  held, held_tokens, reserved, pledged, created_ms, finished_ms, prompt_tokens, cached_tokens, completion_tokens,
  reasoning_tokens, charge, finish_reason) VALUES ('req_A', 'r', 'org_A', 'prj_A', 'A', 'm', 'ins_A', 1, 'settled',
  1000, 'pri_A', '{"lim_A": 1}', 5, 0, 0, 1, 2, 10, 0, 5, 0, 10, 'stop');
INSERT INTO charges (org_id, project_id, key_id, model, day, requests, prompt_tokens, cached_tokens, completion_tokens,
  reasoning_tokens, charge) VALUES ('org_A', 'prj_A', 'A', 'm', 0, 1, 10, 0, 5, 0, 10);
INSERT INTO entries (org_id, at, kind, amount, ref) VALUES ('org_A', 1, 'credit', 100, 'crd_A');
INSERT INTO entries (org_id, at, kind, amount, ref) VALUES ('org_A', 1, 'charge', -10, 'req_A');
INSERT INTO budgets (subject_id, org_id, subject, amount, stops) VALUES ('org_A', 'org_A', 'organization', 5, 1)"""

ROWS = {"0001": _ACCOUNTS, "0002": f"{_ACCOUNTS};\n{_LEDGER}"}
