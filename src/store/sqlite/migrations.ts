/**
 * The schema, as the list of steps that lead to it. `PRAGMA user_version` holds how many were applied; a step that was
 * released is never edited.
 *
 * Payloads are kept out of the rows that change: every transition rewrites the row of a run or a step, and must not
 * rewrite megabytes with it. Those of runs are in tables of their own, those of steps too when they are large. Their
 * key is `seq` of the row they belong to, which appends to one tree instead of touching a second one for an id.
 * For the same reason `steps.run` is `seq` of the run. A step without a retry policy has the standard one.
 *
 * Codes: runs.status 1 PENDING, 2 RUNNING, 3 SLEEPING, 4 COMPLETED, 5 FAILED, 6 CANCELLED, 7 SCHEDULED, 8 PAUSED;
 * steps.status 1 PENDING, 2 RUNNING, 3 COMPLETED, 4 FAILED; workers.status 1 ONLINE, 2 DRAINING, 3 OFFLINE;
 * schedules.overlap 1 allow, 2 skip, 3 cancel.
 * Conditions of partial indexes must appear word for word in the queries that are to use them.
 */
export const migrations: ReadonlyArray<string> = [
  `
  CREATE TABLE namespaces (
    namespace TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    description TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
  );

  CREATE TABLE runs (
    seq INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    external_id TEXT NOT NULL,
    task_queue TEXT NOT NULL,
    workflow_type TEXT NOT NULL,
    version TEXT NOT NULL,
    priority INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    parent_run_id TEXT,
    parent_step_id TEXT,
    schedule_id TEXT,
    cron_expr TEXT,
    retry_policy TEXT,
    status INTEGER NOT NULL,
    error TEXT,
    attempts INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    worker_id TEXT,
    due_at INTEGER,
    lease_epoch INTEGER NOT NULL,
    claimed_at INTEGER,
    slot INTEGER
  );
  -- what changes with every step, apart: the rows of hundreds of runs are on one page. Without a row all is 0.
  CREATE TABLE run_progress (
    seq INTEGER PRIMARY KEY,
    expiries INTEGER NOT NULL,
    step_count INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    step_failed INTEGER NOT NULL
  );
  CREATE TABLE run_inputs (seq INTEGER PRIMARY KEY, data BLOB, metadata TEXT);
  CREATE TABLE run_outputs (seq INTEGER PRIMARY KEY, data BLOB, metadata TEXT);

  -- what may be claimed, in the order of claims; runs that have ended are not in it
  CREATE INDEX runs_due
    ON runs (namespace, task_queue, workflow_type, due_at, priority DESC, created_at, run_id) WHERE due_at IS NOT NULL;
  CREATE INDEX runs_by_worker ON runs (worker_id) WHERE status = 2;
  -- counts what is executing against the limits of queues and types
  CREATE INDEX runs_running ON runs (namespace, task_queue, workflow_type, due_at) WHERE status = 2;
  -- read backwards for the newest: seq grows with every run, and only the newest can be active. Not changed when a run
  -- ends: external ids are random, so that each change is a page of its own.
  CREATE INDEX runs_by_external_id ON runs (namespace, external_id);
  -- listings are newest first; ascending indexes read backwards, because appending fills pages better
  CREATE INDEX runs_by_age ON runs (namespace, created_at, run_id);
  CREATE INDEX runs_by_status ON runs (namespace, status, created_at, run_id);
  CREATE INDEX runs_by_type ON runs (namespace, workflow_type, created_at, run_id);
  CREATE INDEX runs_by_queue ON runs (namespace, task_queue, created_at, run_id);
  -- those of schedules, which most runs are not
  CREATE UNIQUE INDEX runs_by_slot ON runs (schedule_id, slot) WHERE slot IS NOT NULL;
  CREATE INDEX runs_by_schedule ON runs (schedule_id, created_at, run_id) WHERE schedule_id IS NOT NULL;
  CREATE INDEX runs_unfinished_by_schedule ON runs (schedule_id) WHERE schedule_id IS NOT NULL AND status NOT IN (4, 5, 6);

  -- how many runs of each kind there are
  CREATE TABLE run_counts (
    namespace TEXT NOT NULL,
    task_queue TEXT NOT NULL,
    workflow_type TEXT NOT NULL,
    status INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (namespace, task_queue, workflow_type, status)
  ) WITHOUT ROWID;

  CREATE TABLE steps (
    seq INTEGER PRIMARY KEY,
    step_id TEXT NOT NULL UNIQUE,
    run INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind INTEGER NOT NULL DEFAULT 1,
    attempt INTEGER NOT NULL DEFAULT 1,
    position INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    status INTEGER NOT NULL,
    retry_policy TEXT,
    error TEXT,
    started_at INTEGER,
    finished_at INTEGER,
    due_at INTEGER,
    sequence INTEGER,
    cancelled INTEGER NOT NULL DEFAULT 0,
    child_run_id TEXT,
    input_size INTEGER NOT NULL,
    input BLOB,
    input_metadata TEXT,
    output_size INTEGER,
    output BLOB,
    output_metadata TEXT
  );
  -- payloads too large for the row
  CREATE TABLE step_inputs (seq INTEGER PRIMARY KEY, data BLOB NOT NULL);
  CREATE TABLE step_outputs (seq INTEGER PRIMARY KEY, data BLOB NOT NULL);

  -- steps of a batch belong to many runs, and each dirties a page of each index: small entries keep the pages few
  CREATE UNIQUE INDEX steps_by_name ON steps (run, name, attempt);
  -- history seeks from position to position, so that old attempts cost nothing
  CREATE INDEX steps_by_position ON steps (run, position, attempt DESC);
  CREATE INDEX steps_by_age ON steps (run, created_at);
  CREATE INDEX steps_waiting ON steps (run) WHERE due_at IS NOT NULL AND status IN (1, 2);

  CREATE TABLE workers (
    worker_id TEXT NOT NULL PRIMARY KEY,
    namespace TEXT NOT NULL,
    task_queue TEXT NOT NULL,
    hostname TEXT NOT NULL,
    pid INTEGER NOT NULL,
    instance_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    version TEXT NOT NULL,
    workflow_types TEXT NOT NULL,
    labels TEXT NOT NULL,
    queue_concurrency_limit INTEGER,
    workflow_type_concurrency TEXT NOT NULL,
    registered_at INTEGER NOT NULL,
    last_heartbeat_at INTEGER NOT NULL
  );
  CREATE UNIQUE INDEX workers_by_key
    ON workers (namespace, task_queue, hostname, pid, instance_id) WHERE status <> 3;
  CREATE INDEX workers_by_id ON workers (namespace, worker_id);
  CREATE INDEX workers_by_queue ON workers (namespace, task_queue, worker_id);
  CREATE INDEX workers_by_status ON workers (namespace, status, worker_id);
  CREATE INDEX workers_by_heartbeat ON workers (last_heartbeat_at) WHERE status <> 3;

  -- what the workers that are not OFFLINE declared, so that the smallest is one seek away; an empty type is the queue
  CREATE TABLE worker_limits (
    namespace TEXT NOT NULL,
    task_queue TEXT NOT NULL,
    workflow_type TEXT NOT NULL,
    max_concurrent INTEGER NOT NULL,
    worker_id TEXT NOT NULL,
    PRIMARY KEY (namespace, task_queue, workflow_type, max_concurrent, worker_id)
  ) WITHOUT ROWID;
  CREATE INDEX worker_limits_by_worker ON worker_limits (worker_id);

  CREATE TABLE schedules (
    seq INTEGER PRIMARY KEY,
    schedule_id TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    task_queue TEXT NOT NULL,
    workflow_type TEXT NOT NULL,
    cron_expr TEXT NOT NULL,
    timezone TEXT NOT NULL,
    version TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    max_catchup INTEGER NOT NULL,
    overlap INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    next_fire_at INTEGER,
    last_fired_at INTEGER,
    total_runs INTEGER NOT NULL,
    successful_runs INTEGER NOT NULL,
    failed_runs INTEGER NOT NULL
  );
  CREATE TABLE schedule_inputs (seq INTEGER PRIMARY KEY, data BLOB, metadata TEXT);
  CREATE INDEX schedules_due ON schedules (next_fire_at, schedule_id) WHERE enabled = 1 AND next_fire_at IS NOT NULL;
  CREATE INDEX schedules_by_age ON schedules (namespace, created_at, schedule_id);
  CREATE INDEX schedules_by_queue ON schedules (namespace, task_queue, created_at, schedule_id);
  `,
  `
  -- Runs that are gone while some of their steps are left, by the key of their row. As long as there is one, no other run
  -- is removed, and it is not the newest: so its key is not given to a new run.
  CREATE TABLE removals (seq INTEGER PRIMARY KEY);
  `,
  `
  -- how long workers may be silent with every server, and over which of their streams they were heard of last
  ALTER TABLE workers ADD COLUMN patience_millis INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE workers ADD COLUMN stream INTEGER NOT NULL DEFAULT 0;
  `
]
