/**
 * A database with a past: many runs that have ended and many that sleep.
 *
 * The rows are written with SQL and not by the server, which would take an hour for a million. Indexes are made last,
 * because that sorts their entries once.
 */
import { DatabaseSync } from "node:sqlite"
import { Clock, Effect } from "effect"
import { layer } from "../src/store/sqlite/SqliteStore.ts"
import { Store } from "../src/store/Store.ts"

export interface Filling {
  /** Runs that completed, of five steps each. */
  readonly finished: number
  /** Runs of one step that wake in a year. */
  readonly sleeping: number
  /** Where they are, and what: what the benchmark runs unless told otherwise. */
  readonly taskQueue?: string
  readonly workflowType?: string
}

const day = 24 * 60 * 60 * 1_000

/** A UUID of version 7 made at that time, in SQL. */
const uuid = (time: string) =>
  `printf('%08x-%04x-7%03x-8%03x-%012x', ${time} >> 16, ${time} & 65535,
    abs(random()) % 4096, abs(random()) % 4096, abs(random()) % 281474976710656)`

const runColumns = `seq, run_id, namespace, external_id, task_queue, workflow_type, version, priority, created_at, status,
  attempts, started_at, finished_at, worker_id, due_at, lease_epoch, claimed_at`

const stepColumns = `step_id, run, name, kind, attempt, position, created_at, status, started_at, finished_at, due_at,
  sequence, cancelled, input_size, input, output_size, output`

const numbers = "WITH RECURSIVE n(i) AS (SELECT 1 WHERE :count > 0 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"

/** Runs `i` of `:count` after those with keys up to `:base`, made evenly over `:span` milliseconds from `:from` on. */
const made = "(:from + :span * i / :count)"

const sql = {
  finishedRuns: `${numbers} INSERT INTO runs (${runColumns})
    SELECT :base + i, ${uuid(made)}, 'default', lower(hex(randomblob(12))), :queue, :type, '1', 0, ${made}, 4,
      1, ${made} + 2, ${made} + 9, :worker, NULL, 1, ${made} + 2 FROM n`,
  sleepingRuns: `${numbers} INSERT INTO runs (${runColumns})
    SELECT :base + i, ${uuid(made)}, 'default', lower(hex(randomblob(12))), :queue, :type, '1', 0, ${made}, 3,
      1, ${made} + 2, NULL, :worker, ${made} + ${365 * day}, 1, ${made} + 2 FROM n`,
  inputs: `${numbers} INSERT INTO run_inputs (seq, data) SELECT :base + i, CAST('5' AS BLOB) FROM n`,
  outputs: `${numbers} INSERT INTO run_outputs (seq, data) SELECT :base + i, CAST('{"sum":10}' AS BLOB) FROM n`,
  progress: `${numbers} INSERT INTO run_progress (seq, expiries, step_count, sequence, step_failed)
    SELECT :base + i, 0, :steps, :ended, 0 FROM n`,
  finishedSteps: `INSERT INTO steps (${stepColumns})
    SELECT ${uuid("(created_at + p)")}, seq, 's' || p, 1, 1, p + 1, created_at + p, 3, created_at + p, created_at + p + 1,
      NULL, p + 1, 0, 4, CAST('null' AS BLOB), 1, CAST(p AS BLOB)
    FROM runs CROSS JOIN (SELECT 0 AS p UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4)
    WHERE seq > :base AND seq <= :base + :count ORDER BY seq`,
  sleepingSteps: `INSERT INTO steps (${stepColumns})
    SELECT ${uuid("created_at")}, seq, 'nap', 2, 1, 1, created_at, 2, created_at, NULL,
      due_at, NULL, 0, 4, CAST('null' AS BLOB), NULL, NULL
    FROM runs WHERE seq > :base AND seq <= :base + :count ORDER BY seq`,
  counts: `INSERT INTO run_counts (namespace, task_queue, workflow_type, status, runs)
    VALUES ('default', :queue, :type, :status, :count)
    ON CONFLICT DO UPDATE SET runs = runs + excluded.runs`
}

const write = (file: string, { finished, sleeping, taskQueue, workflowType }: Required<Filling>, now: number) => {
  const db = new DatabaseSync(file)
  db.exec(
    "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -262144; PRAGMA temp_store = MEMORY"
  )
  const indexes = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL").all()
  for (const { name } of indexes) db.exec(`DROP INDEX ${String(name)}`)
  const run = (text: string, params: Record<string, string | number>) => {
    const statement = db.prepare(text)
    statement.setAllowUnknownNamedParameters(true)
    statement.run(params)
  }
  const worker = "00000000-0000-7000-8000-000000000000"
  const all = { queue: taskQueue, type: workflowType, worker, from: now - 30 * day, span: 30 * day - 60_000 }

  const ended = { ...all, base: 0, count: finished, steps: 5, ended: 5, status: 4 }
  for (const text of [sql.finishedRuns, sql.inputs, sql.outputs, sql.progress, sql.finishedSteps]) run(text, ended)
  const asleep = { ...all, base: finished, count: sleeping, steps: 1, ended: 0, status: 3 }
  for (const text of [sql.sleepingRuns, sql.inputs, sql.progress, sql.sleepingSteps]) run(text, asleep)
  for (const counted of [ended, asleep]) if (counted.count > 0) run(sql.counts, counted)

  for (const { sql: text } of indexes) db.exec(String(text))
  db.close()
}

/** Makes the database file, which must not exist. A million finished runs take about a minute and 2 GB. */
export const fill = Effect.fnUntraced(function* (file: string, filling: Filling) {
  yield* Effect.scoped(Effect.provide(Effect.asVoid(Store), layer(file)))
  const now = yield* Clock.currentTimeMillis
  const { finished, sleeping, taskQueue = "bench", workflowType = "bench-steps" } = filling
  yield* Effect.try({
    try: () => write(file, { finished, sleeping, taskQueue, workflowType }, now),
    catch: (cause) => new Error(`${file} could not be filled`, { cause })
  })
})
