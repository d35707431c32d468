/**
 * The schema, as the list of steps that lead to it. A step that was released is never edited.
 *
 * Names and ids are compared by their bytes (`"C"`), which in UTF-8 is the order of code points, and cheap. Payloads
 * are in the rows: PostgreSQL keeps large ones apart by itself and does not rewrite those with a row. The rows that
 * change with every step have room on their page for a second version (`fillfactor`), and what changes then is in no
 * index, so that no index is written either.
 *
 * The `revision` of a row grows with every transaction that changes it, or the steps of a run: see Known.ts.
 *
 * Codes: runs.status 1 PENDING, 2 RUNNING, 3 SLEEPING, 4 COMPLETED, 5 FAILED, 6 CANCELLED, 7 SCHEDULED, 8 PAUSED;
 * steps.status 1 PENDING, 2 RUNNING, 3 COMPLETED, 4 FAILED; workers.status 1 ONLINE, 2 DRAINING, 3 OFFLINE;
 * schedules.overlap 1 allow, 2 skip, 3 cancel.
 * Conditions of partial indexes must appear word for word in the queries that are to use them.
 *
 * Indexes for listings and histories begin with an expression (`namespace || ''`), which their queries repeat. So no
 * other query can be planned by them: which of two indexes that begin alike is the better one, PostgreSQL can't tell
 * before it has looked at a table, and it keeps the plan until then.
 */
export const migrations: ReadonlyArray<{ readonly name: string; readonly statements: ReadonlyArray<string> }> = [
  {
    name: "initial",
    statements: [
      `CREATE TABLE namespaces (
        namespace text COLLATE "C" PRIMARY KEY,
        id text NOT NULL,
        display_name text NOT NULL,
        description text NOT NULL,
        enabled smallint NOT NULL,
        created_at bigint NOT NULL,
        updated_at bigint NOT NULL,
        revision bigint NOT NULL DEFAULT 0
      )`,

      // seq grows with every run: it tells which of those with one external id is the newest
      `CREATE TABLE runs (
        seq bigint GENERATED ALWAYS AS IDENTITY,
        created_at bigint NOT NULL,
        started_at bigint,
        finished_at bigint,
        due_at bigint,
        lease_epoch bigint NOT NULL,
        revision bigint NOT NULL DEFAULT 0,
        claimed_at bigint,
        slot bigint,
        priority integer NOT NULL,
        attempts integer NOT NULL,
        expiries integer NOT NULL,
        step_count integer NOT NULL,
        sequence integer NOT NULL,
        status smallint NOT NULL,
        step_failed smallint NOT NULL,
        run_id text COLLATE "C" PRIMARY KEY,
        namespace text COLLATE "C" NOT NULL,
        external_id text COLLATE "C" NOT NULL,
        task_queue text COLLATE "C" NOT NULL,
        workflow_type text COLLATE "C" NOT NULL,
        version text NOT NULL,
        parent_run_id text,
        parent_step_id text,
        schedule_id text COLLATE "C",
        cron_expr text,
        retry_policy text,
        worker_id text COLLATE "C",
        error text,
        input bytea,
        input_metadata text,
        output bytea,
        output_metadata text
      ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)`,
      // what may be claimed, in the order of claims; runs that have ended are not in it
      `CREATE INDEX runs_due ON runs (namespace, task_queue, workflow_type, due_at, priority DESC, created_at, run_id)
        WHERE due_at IS NOT NULL`,
      "CREATE INDEX runs_by_worker ON runs (worker_id) WHERE status = 2",
      // counts what is executing against the limits of queues and types
      "CREATE INDEX runs_running ON runs (namespace, task_queue, workflow_type, due_at) WHERE status = 2",
      "CREATE UNIQUE INDEX runs_active ON runs (namespace, external_id) WHERE status NOT IN (4, 5, 6)",
      "CREATE INDEX runs_ended ON runs (namespace, external_id, seq) WHERE status IN (4, 5, 6)",
      // Listings are newest first; ascending indexes read backwards, because appending fills pages better. With the
      // column itself in them they are counted without a look at the rows.
      "CREATE INDEX runs_by_age ON runs ((namespace || ''), created_at, run_id) INCLUDE (namespace)",
      "CREATE INDEX runs_by_status ON runs ((namespace || ''), status, created_at, run_id) INCLUDE (namespace)",
      "CREATE INDEX runs_by_type ON runs ((namespace || ''), workflow_type, created_at, run_id) INCLUDE (namespace)",
      "CREATE INDEX runs_by_queue ON runs ((namespace || ''), task_queue, created_at, run_id) INCLUDE (namespace)",
      // those of schedules, which most runs are not
      "CREATE UNIQUE INDEX runs_by_slot ON runs (schedule_id, slot) WHERE slot IS NOT NULL",
      "CREATE INDEX runs_by_schedule ON runs ((schedule_id || ''), created_at, run_id) WHERE schedule_id IS NOT NULL",
      `CREATE INDEX runs_unfinished_by_schedule ON runs (schedule_id)
        WHERE schedule_id IS NOT NULL AND status NOT IN (4, 5, 6)`,

      // How many runs of each kind there are, as differences to add up. A row for each kind would be waited for by
      // everyone who starts or ends a run of that kind.
      `CREATE TABLE run_counts (
        runs bigint NOT NULL,
        status smallint NOT NULL,
        namespace text COLLATE "C" NOT NULL,
        task_queue text COLLATE "C" NOT NULL,
        workflow_type text COLLATE "C" NOT NULL
      ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)`,

      `CREATE TABLE steps (
        created_at bigint NOT NULL,
        started_at bigint,
        finished_at bigint,
        due_at bigint,
        attempt integer NOT NULL,
        position integer NOT NULL,
        sequence integer,
        kind smallint NOT NULL,
        status smallint NOT NULL,
        cancelled smallint NOT NULL,
        waits smallint,
        step_id text COLLATE "C" PRIMARY KEY,
        run_id text COLLATE "C" NOT NULL,
        namespace text COLLATE "C" NOT NULL,
        name text COLLATE "C" NOT NULL,
        retry_policy text,
        child_run_id text,
        error text,
        input bytea NOT NULL,
        input_metadata text,
        output bytea,
        output_metadata text
      ) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)`,
      "CREATE UNIQUE INDEX steps_by_name ON steps (run_id, name, attempt)",
      // history reads the first of each position
      "CREATE INDEX steps_by_position ON steps ((run_id || ''), position, attempt DESC)",
      "CREATE INDEX steps_waiting ON steps (run_id) WHERE waits IS NOT NULL",

      `CREATE TABLE workers (
        worker_id text COLLATE "C" PRIMARY KEY,
        namespace text COLLATE "C" NOT NULL,
        task_queue text COLLATE "C" NOT NULL,
        hostname text COLLATE "C" NOT NULL,
        pid integer NOT NULL,
        instance_id text COLLATE "C" NOT NULL,
        status smallint NOT NULL,
        version text NOT NULL,
        workflow_types text NOT NULL,
        labels text NOT NULL,
        queue_concurrency_limit integer,
        workflow_type_concurrency text NOT NULL,
        registered_at bigint NOT NULL,
        last_heartbeat_at bigint NOT NULL,
        revision bigint NOT NULL DEFAULT 0
      ) WITH (fillfactor = 50)`,
      `CREATE UNIQUE INDEX workers_by_key ON workers (namespace, task_queue, hostname, pid, instance_id)
        WHERE status <> 3`,
      "CREATE INDEX workers_by_id ON workers ((namespace || ''), worker_id)",
      "CREATE INDEX workers_by_queue ON workers ((namespace || ''), task_queue, worker_id)",
      "CREATE INDEX workers_by_status ON workers ((namespace || ''), status, worker_id)",
      "CREATE INDEX workers_by_heartbeat ON workers (last_heartbeat_at) WHERE status <> 3",

      // what the workers that are not OFFLINE declared, so that the smallest is one seek away; an empty type is the queue
      `CREATE TABLE worker_limits (
        namespace text COLLATE "C" NOT NULL,
        task_queue text COLLATE "C" NOT NULL,
        workflow_type text COLLATE "C" NOT NULL,
        max_concurrent integer NOT NULL,
        worker_id text COLLATE "C" NOT NULL,
        PRIMARY KEY (namespace, task_queue, workflow_type, max_concurrent, worker_id)
      )`,
      "CREATE INDEX worker_limits_by_worker ON worker_limits (worker_id)",

      `CREATE TABLE schedules (
        schedule_id text COLLATE "C" PRIMARY KEY,
        namespace text COLLATE "C" NOT NULL,
        created_at bigint NOT NULL,
        task_queue text COLLATE "C" NOT NULL,
        workflow_type text COLLATE "C" NOT NULL,
        cron_expr text NOT NULL,
        timezone text NOT NULL,
        version text NOT NULL,
        enabled smallint NOT NULL,
        max_catchup integer NOT NULL,
        overlap smallint NOT NULL,
        updated_at bigint NOT NULL,
        next_fire_at bigint,
        last_fired_at bigint,
        total_runs bigint NOT NULL,
        successful_runs bigint NOT NULL,
        failed_runs bigint NOT NULL,
        input bytea,
        input_metadata text
      ) WITH (fillfactor = 70)`,
      `CREATE INDEX schedules_due ON schedules (next_fire_at, schedule_id)
        WHERE enabled = 1 AND next_fire_at IS NOT NULL`,
      "CREATE INDEX schedules_by_age ON schedules ((namespace || ''), created_at, schedule_id)",
      "CREATE INDEX schedules_by_queue ON schedules ((namespace || ''), task_queue, created_at, schedule_id)",
      // What is to be added to the numbers of runs of a schedule. Its own row is locked by who fires it, and a run that
      // ends must not wait for that: it is locked itself, and firing may wait for it.
      `CREATE TABLE schedule_counts (
        schedule_id text COLLATE "C" NOT NULL,
        total bigint NOT NULL,
        successful bigint NOT NULL,
        failed bigint NOT NULL
      )`,
      "CREATE INDEX schedule_counts_by_schedule ON schedule_counts (schedule_id)",

      // The last transaction that was committed on each lane: see Lanes.ts.
      `CREATE TABLE lanes (
        lane_id text COLLATE "C" PRIMARY KEY,
        sequence bigint NOT NULL,
        previous bigint NOT NULL,
        used_at timestamptz NOT NULL
      ) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)`,

      // Ends the transaction unless it holds. 40001 is what PostgreSQL itself fails with where trying again may help.
      `CREATE FUNCTION expect(holds boolean, what text) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
          IF holds IS NOT TRUE THEN RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = what; END IF;
        END
      $$`,

      // Ends the transaction if a run with one of these external ids, other than those seen, has ended and is newer
      // than the known one. It is asked behind the start of other runs with these ids, so many as were started, and sees what
      // was committed while that waited: each query of a function that may write has a snapshot of its own.
      `CREATE FUNCTION expect_newest(started bigint, names text[], ids text[], known text[], seen text[])
        RETURNS void LANGUAGE plpgsql VOLATILE AS $$
        BEGIN
          IF EXISTS (
            SELECT 1 FROM unnest(names, ids, known) AS w (namespace, external_id, known)
            CROSS JOIN LATERAL (SELECT seq FROM runs
              WHERE namespace = w.namespace AND external_id = w.external_id AND status IN (4, 5, 6)
                AND run_id <> ALL(seen)
              ORDER BY seq DESC LIMIT 1) AS r
            WHERE r.seq > coalesce((SELECT k.seq FROM runs AS k WHERE k.run_id = w.known), 0)
          ) THEN
            RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'a run with the same id was started in between';
          END IF;
        END
      $$`
    ]
  },
  {
    name: "removals",
    // runs that are gone while some of their steps are left
    statements: ['CREATE TABLE removals (run_id text COLLATE "C" PRIMARY KEY)']
  },
  {
    name: "presence",
    // how long workers may be silent with every server, and over which of their streams they were heard of last
    statements: [
      `ALTER TABLE workers ADD COLUMN patience_millis bigint NOT NULL DEFAULT 0,
        ADD COLUMN stream bigint NOT NULL DEFAULT 0`
    ]
  }
]
