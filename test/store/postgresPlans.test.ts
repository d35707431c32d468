/**
 * What statements of the hot path look up, and by which index: none reads a table as a whole or sorts what an index has
 * in order, neither while tables are empty nor when they are full. Plans are kept, so that both matter.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Load from "../../src/store/postgres/load.ts"
import { Loaded } from "../../src/store/postgres/Loaded.ts"
import * as limits from "../../src/store/postgres/queries/limits.ts"
import * as listings from "../../src/store/postgres/queries/listings.ts"
import * as reads from "../../src/store/postgres/queries/reads.ts"
import * as removal from "../../src/store/postgres/queries/removal.ts"
import * as runListings from "../../src/store/postgres/queries/runListings.ts"
import { statementsOf } from "../../src/store/postgres/save.ts"
import { parse } from "../../src/store/postgres/url.ts"
import type { Statement } from "../../src/store/postgres/values.ts"
import type { Changes, RunFilter, Wants } from "../../src/store/Store.ts"
import { at, id, noChanges, noWants, payload, runOf, stepOf, workerOf } from "../contract/store/fixtures.ts"
import { database, session } from "../support/postgres.ts"

const place = { namespace: "default", taskQueue: "orders" }
const types = ["Order", "Refund"]

/** What a transaction asks first, one of the statements after the other. */
const asked = (wants: Partial<Wants>): ReadonlyArray<Statement> =>
  Load.firstQuestions({ ...noWants, ...wants }, new Loaded(), false)

const written = (changes: Partial<Changes>, wants: Partial<Wants> = {}): ReadonlyArray<Statement> =>
  statementsOf({ ...noWants, ...wants }, { ...noChanges, ...changes }, new Loaded())

const one = new Set([id(1)])
const page = { limit: 20, count: false, after: { at, id: id(1) } }
const runs = (filter: Omit<RunFilter, "namespace">) => [
  runListings.runs({ namespace: "default", ...filter }, page, at).page
]

/** As good while nothing is known of a table: all that execute. Only where a worker is described or goes silent. */
const fewRunning = "runs_running()"

/** Of one run, and only where its steps are listed. */
const sorted = "sorted"

/** For each of the hot path: the statements, and the indexes that they find rows by, with the columns that they seek. */
const expected: Readonly<Record<string, readonly [ReadonlyArray<Statement>, ReadonlyArray<string>]>> = {
  "runs by id": [asked({ runs: one }), ["runs_pkey(run_id)"]],
  "runs by external id": [
    asked({ externalIds: [{ namespace: "default", externalId: "e" }] }),
    ["runs_active(namespace,external_id)", "runs_ended(namespace,external_id)", "runs_pkey(run_id)"]
  ],
  "runs of workers": [asked({ workerRuns: one }), ["runs_by_worker(worker_id)", "runs_pkey(run_id)", fewRunning]],
  "silent workers and their runs": [
    asked({ quiet: { since: at, now: at } }),
    [
      "workers_by_heartbeat(last_heartbeat_at)",
      "workers_pkey(worker_id)",
      "runs_by_worker(worker_id)",
      "runs_pkey(run_id)",
      fewRunning
    ]
  ],
  "unfinished runs of schedules": [
    asked({ scheduleRuns: one }),
    ["runs_unfinished_by_schedule(schedule_id)", "runs_pkey(run_id)"]
  ],
  claims: [
    asked({ claims: [{ ...place, workflowTypes: types, dueBy: at, limit: 10 }] }),
    [
      "workers_pkey(worker_id)",
      "runs_running(namespace,task_queue,due_at)",
      "runs_running(namespace,task_queue,workflow_type,due_at)",
      "runs_due(namespace,task_queue,workflow_type,due_at)"
    ]
  ],
  "waiting steps": [asked({ waits: one }), ["steps_waiting(run_id)", "steps_by_name(run_id,name)"]],
  "steps by id": [asked({ stepIds: one }), ["steps_pkey(step_id)"]],
  "steps by name": [
    asked({ steps: [{ runId: id(1), name: "a", stepId: id(2) }] }),
    ["steps_by_name(run_id,name)", "steps_pkey(step_id)"]
  ],
  "workers by id": [asked({ workers: one }), ["workers_pkey(worker_id)"]],
  "workers by key": [
    asked({ workerKeys: [workerOf(1)] }),
    ["workers_by_key(namespace,task_queue,hostname,pid,instance_id)", "workers_pkey(worker_id)"]
  ],
  schedules: [asked({ schedules: one }), ["schedules_pkey(schedule_id)", "schedule_counts_by_schedule(schedule_id)"]],
  slots: [asked({ slots: [{ scheduleId: id(1), from: 1, to: 2 }] }), ["runs_by_slot(schedule_id,slot)"]],
  "updated runs": [written({ updateRuns: [runOf(1)] }), ["runs_pkey(run_id)"]],
  "ended runs": [
    written({ updateRuns: [runOf(1)], outputs: [{ runId: id(1), payload: payload("1") }] }),
    ["runs_pkey(run_id)"]
  ],
  "started runs": [
    written(
      { insertRuns: [runOf(1, { externalId: "e" })], inputs: [{ runId: id(1), payload: payload("1") }] },
      { externalIds: [{ namespace: "default", externalId: "e" }] }
    ),
    ["runs_ended(namespace,external_id)", "runs_pkey(run_id)"]
  ],
  "inputs of other runs": [written({ copyInputs: [{ runId: id(1), from: id(2) }] }), ["runs_pkey(run_id)"]],
  "inputs of schedules": [
    written({ copyScheduleInputs: [{ runId: id(1), scheduleId: id(2) }] }),
    ["runs_pkey(run_id)", "schedules_pkey(schedule_id)"]
  ],
  "schedules that are deleted": [
    written({ deleteSchedules: [id(1)] }),
    ["schedules_pkey(schedule_id)", "schedule_counts_by_schedule(schedule_id)"]
  ],
  "updated steps": [written({ updateSteps: [stepOf(1)] }), ["steps_pkey(step_id)", "runs_pkey(run_id)"]],
  "new steps": [written({ insertSteps: [stepOf(1)] }), ["runs_pkey(run_id)"]],
  heartbeats: [written({ updateWorkers: [workerOf(1)] }), ["workers_pkey(worker_id)"]],
  "counted runs of schedules": [
    written({ countScheduleRuns: [{ scheduleId: id(1), total: 1, successful: 0, failed: 0 }] }),
    ["schedules_pkey(schedule_id)"]
  ],
  occupancy: [
    [limits.occupancy(limits.placesOf(place, types, at))],
    ["runs_running(namespace,task_queue,due_at)", "runs_running(namespace,task_queue,workflow_type,due_at)"]
  ],
  "the next run that is due": [
    [reads.nextDue("default", "orders", types)],
    ["runs_due(namespace,task_queue,workflow_type)"]
  ],
  "a run": [[reads.run("default", id(1), at)], ["runs_pkey(run_id)"]],
  "the record of a run": [[reads.runRecord("default", id(1))], ["runs_pkey(run_id)"]],
  "an input": [[reads.input(id(1))], ["runs_pkey(run_id)"]],
  "a step": [[reads.step("default", id(1))], ["steps_pkey(step_id)", "runs_pkey(run_id)"]],
  "a worker": [[reads.worker(id(1))], ["workers_pkey(worker_id)", "runs_by_worker(worker_id)", fewRunning]],
  "a schedule": [
    [listings.schedule("default", id(1))],
    ["schedules_pkey(schedule_id)", "schedule_counts_by_schedule(schedule_id)"]
  ],
  "a list of steps": [
    [runListings.steps({ namespace: "default", runId: id(1) }, page).page],
    ["runs_pkey(run_id)", "steps_by_name(run_id)", "steps_pkey(step_id)", sorted]
  ],
  "a list of workers": [
    [listings.workers({ namespace: "default" }, page).page],
    ["workers_by_id(namespace,worker_id)", "runs_by_worker(worker_id)", fewRunning]
  ],
  "a run by external id": [
    [reads.runByExternalId("default", "e", at)],
    ["runs_active(namespace,external_id)", "runs_ended(namespace,external_id)"]
  ],
  "which runs have ended": [[reads.endedRuns([id(1)])], ["runs_pkey(run_id)"]],
  "which runs are missing": [[reads.missingRuns([id(1)])], ["runs_pkey(run_id)"]],
  "which runs are lost": [[reads.lostRuns([{ runId: id(1), lease: 1 }])], ["runs_pkey(run_id)"]],
  history: [[reads.history(id(1), 0, 1_000)], ["steps_by_position(run_id,position)", "steps_pkey(step_id)"]],
  "the quietest worker": [[reads.quietest], ["workers_by_heartbeat()"]],
  "the next schedules": [
    [listings.schedulesByDue(10)],
    ["schedules_due(next_fire_at,schedule_id)", "schedule_counts_by_schedule(schedule_id)"]
  ],
  "removal of runs": [
    [removal.removeEnded({ namespace: "default", status: "COMPLETED", endedBy: at }, { rows: 100, bytes: 1_000 })],
    ["runs_by_status(namespace,status,created_at,run_id)", "steps_by_name(run_id)", "runs_pkey(run_id)"]
  ],
  "removal of steps": [
    [removal.removeLeftSteps({ rows: 100, bytes: 1_000 })],
    ["steps_by_name(run_id)", "steps_pkey(step_id)"]
  ],
  "a list of runs": [runs({}), ["runs_by_age(namespace,created_at,run_id)", "runs_pkey(run_id)"]],
  "a list of runs by status": [
    runs({ status: "FAILED" }),
    ["runs_by_status(namespace,status,created_at,run_id)", "runs_pkey(run_id)"]
  ],
  "a list of runs by type": [
    runs({ workflowType: "Order" }),
    ["runs_by_type(namespace,workflow_type,created_at,run_id)", "runs_pkey(run_id)"]
  ],
  "a list of runs by queue": [
    runs({ taskQueue: "orders" }),
    ["runs_by_queue(namespace,task_queue,created_at,run_id)", "runs_pkey(run_id)"]
  ],
  "a list of runs of a schedule": [
    runs({ scheduleId: id(1) }),
    ["runs_by_schedule(schedule_id,created_at,run_id)", "runs_pkey(run_id)"]
  ]
}

const typeNames = new Map([
  [17, "bytea"],
  [20, "bigint"],
  [21, "smallint"],
  [23, "integer"],
  [25, "text"],
  [1001, "bytea[]"],
  [1005, "smallint[]"],
  [1007, "integer[]"],
  [1009, "text[]"],
  [1016, "bigint[]"]
])

interface Plan {
  readonly "Node Type": string
  readonly "Relation Name"?: string
  readonly "Index Name"?: string
  readonly "Index Cond"?: string
  readonly Plans?: ReadonlyArray<Plan>
}

/** The column of a part of an index, which may be an expression: `(namespace || ''::text)`. */
const columnOf = (part: string): string => /\w+/.exec(part)?.[0] ?? ""

/** Tables that have a handful of rows, whatever happens. */
const small = ["namespaces", "worker_limits", "removals"]

/** What a plan looks up, and what it should not do. */
const lookups = (plan: Plan, columns: ReadonlyMap<string, ReadonlyArray<string>>): ReadonlyArray<string> => {
  const found: Array<string> = []
  const visit = (node: Plan): void => {
    const index = node["Index Name"]
    const table = node["Relation Name"]
    if (table !== undefined && small.includes(table)) return
    if (index !== undefined) {
      const condition = node["Index Cond"] ?? ""
      const used = Array.from(new Set(columns.get(index))).filter((column) =>
        new RegExp(`\\b${column}\\b`).test(condition)
      )
      found.push(`${index}(${used.join(",")})`)
    } else if (node["Node Type"] === "Seq Scan") {
      found.push(`all of ${table}`)
    }
    for (const child of node.Plans ?? []) {
      // the first ones of an order that no index has
      if (node["Node Type"] === "Limit" && /Sort/.test(child["Node Type"]) && child.Plans?.[0]?.["Index Name"]) {
        found.push(sorted)
      }
      visit(child)
    }
  }
  visit(plan)
  return found
}

/** Rows of that many runs; of each of the other tables in proportion. */
const fill = (runs: number) => `
  INSERT INTO runs (created_at, started_at, finished_at, due_at, lease_epoch, priority, attempts, expiries, step_count,
    sequence, status, step_failed, run_id, namespace, external_id, task_queue, workflow_type, version, schedule_id,
    worker_id, slot)
  SELECT n, n, CASE WHEN n % 100 > 9 THEN n END, CASE WHEN n % 100 <= 9 THEN n END, 1, 0, 1, 0, 1, 1,
    CASE WHEN n % 100 < 5 THEN 1 WHEN n % 100 < 8 THEN 2 WHEN n % 100 <= 9 THEN 3 WHEN n % 100 < 90 THEN 4 ELSE 5 END,
    0, md5(n::text)::uuid::text, 'default', 'e' || n, 'queue' || n % 3, 'type' || n % 5, '',
    CASE WHEN n % 10 = 0 THEN md5((n % 20)::text)::uuid::text END,
    CASE WHEN n % 100 >= 5 THEN md5((n % 50)::text)::uuid::text END, CASE WHEN n % 10 = 0 THEN n END
  FROM generate_series(1, ${runs}) AS n;
  INSERT INTO steps (created_at, attempt, position, sequence, kind, status, cancelled, waits, step_id, run_id, namespace,
    name, input)
  SELECT n, 1, n % 3 + 1, 1, 1, 3, 0, CASE WHEN n % 50 = 0 THEN 1 END, md5('s' || n)::uuid::text,
    md5((n / 3)::text)::uuid::text, 'default', 'step' || n % 3, '1'
  FROM generate_series(1, ${runs * 1.5}) AS n;
  INSERT INTO workers (worker_id, namespace, task_queue, hostname, pid, instance_id, status, version, workflow_types,
    labels, workflow_type_concurrency, registered_at, last_heartbeat_at)
  SELECT md5(n::text)::uuid::text, 'default', 'queue' || n % 3, 'host', n, '', CASE WHEN n < 50 THEN 1 ELSE 3 END, '',
    '[]', '{}', '{}', n, n
  FROM generate_series(0, ${runs / 8}) AS n;
  INSERT INTO schedules (schedule_id, namespace, created_at, task_queue, workflow_type, cron_expr, timezone, version,
    enabled, max_catchup, overlap, updated_at, next_fire_at, total_runs, successful_runs, failed_runs)
  SELECT md5(n::text)::uuid::text, 'default', n, 'queue' || n % 3, 'type', '* * * * *', 'UTC', '', 1, 1, 1, n, n, 0, 0, 0
  FROM generate_series(0, ${runs / 20}) AS n;
  INSERT INTO schedule_counts (schedule_id, total, successful, failed)
  SELECT md5((n % 20)::text)::uuid::text, 1, 0, 0 FROM generate_series(1, ${runs / 20}) AS n`

/** PostgreSQL looks at tables anew every minute or so, and until then knows how large they are, but not what is in them. */
const states: Readonly<Record<string, string>> = {
  empty: "",
  "a moment old": fill(40),
  young: fill(400),
  "not looked at yet": fill(8_000),
  full: `${fill(40_000)}; ANALYZE`
}

/** There are listings for several filters, and what is best for some of those depends on what is in the table. */
const ofSeveral = /^(a list of (runs|workers)|removal of runs)/

/** The indexes that plans are made of, and the columns of each. */
const prepared = Effect.gen(function* () {
  const url = yield* database
  const run = yield* session(url)
  const settings = parse(url)
  assert.isTrue(settings._tag === "Success")
  const parameters = settings._tag === "Success" ? (settings.success.connection.startupParameters ?? {}) : {}
  for (const [name, value] of Object.entries(parameters)) {
    if (!name.endsWith("_timeout")) yield* run(`SET ${name} = '${value}'`)
  }
  const indexes = yield* run(`SELECT c.relname AS index,
      array_agg(pg_get_indexdef(a.attrelid, a.attnum, false) ORDER BY a.attnum) AS columns
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
    WHERE c.relkind = 'i' AND c.relnamespace = 'kagzi'::regnamespace GROUP BY c.relname`)
  const columns = new Map(
    indexes.map(({ columns, index }) => [String(index), (columns as ReadonlyArray<string>).map(columnOf)])
  )

  /** What the statement looks up. */
  const plan = Effect.fnUntraced(function* ({ params, sql }: Statement) {
    const types = params.map((param) => typeNames.get((param as unknown as { oid: number }).oid))
    assert.notInclude(types, undefined, sql)
    yield* run(`PREPARE plan${types.length === 0 ? "" : `(${types.join(", ")})`} AS ${sql}`)
    const values = types.length === 0 ? "" : `(${types.map(() => "NULL").join(", ")})`
    const [row] = yield* run(`EXPLAIN (FORMAT JSON) EXECUTE plan${values}`)
    yield* run("DEALLOCATE plan")
    const plans = row!["QUERY PLAN"] as ReadonlyArray<{ readonly Plan: Plan }>
    return plans.flatMap(({ Plan: plan }) => lookups(plan, columns))
  })
  return { run, plan, columns }
})

describe("query plans on PostgreSQL", () => {
  for (const [state, filling] of Object.entries(states)) {
    it.live(`go by indexes in a database that is ${state}`, () =>
      Effect.gen(function* () {
        const { plan, run } = yield* prepared
        if (filling !== "") for (const statement of filling.split(";")) yield* run(statement)
        const others: Array<string> = []
        for (const [name, [statements, wanted]] of Object.entries(expected)) {
          for (const statement of statements) {
            for (const lookup of yield* plan(statement)) {
              if (!wanted.includes(lookup)) others.push(`${name}: ${lookup}`)
            }
          }
        }
        assert.deepStrictEqual(others, [])
      }).pipe(Effect.scoped)
    )
  }

  it.live("could go by no other index, whatever is in a table", () =>
    Effect.gen(function* () {
      const { columns, plan, run } = yield* prepared
      const others: Array<string> = []
      for (const [name, [statements, wanted]] of Object.entries(expected)) {
        if (ofSeveral.test(name)) continue
        for (const statement of statements) {
          yield* run("BEGIN")
          for (const index of new Set(wanted.map((lookup) => lookup.split("(")[0]!))) {
            if (!columns.has(index)) continue
            yield* run(
              index.endsWith("_pkey")
                ? `ALTER TABLE ${index.slice(0, -"_pkey".length)} DROP CONSTRAINT ${index}`
                : `DROP INDEX ${index}`
            )
          }
          for (const lookup of yield* plan(statement)) {
            const [index = "", used = ""] = lookup.split(/[()]/)
            const [first] = columns.get(index) ?? []
            // what begins with something else is read as a whole, because nothing is left to go by
            if (first !== undefined && used.split(",").includes(first)) others.push(`${name}: ${lookup}`)
          }
          yield* run("ROLLBACK")
        }
      }
      assert.deepStrictEqual(others, [])
    }).pipe(Effect.scoped)
  )
})
