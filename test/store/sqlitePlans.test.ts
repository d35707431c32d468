/** Every query finds its rows through the index made for it, so that none grows with runs that have ended. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { open } from "../../src/store/sqlite/database.ts"
import { sql as counts } from "../../src/store/sqlite/queries/counts.ts"
import { sql as limits } from "../../src/store/sqlite/queries/limits.ts"
import { runPage, stepPage } from "../../src/store/sqlite/queries/listings.ts"
import { sql as removal } from "../../src/store/sqlite/queries/removal.ts"
import { sql as runs, updates } from "../../src/store/sqlite/queries/runs.ts"
import { schedulePage, sql as schedules } from "../../src/store/sqlite/queries/schedules.ts"
import { sql as steps } from "../../src/store/sqlite/queries/steps.ts"
import { workerPage, sql as workers } from "../../src/store/sqlite/queries/workers.ts"
import * as SqliteStore from "../../src/store/sqlite/SqliteStore.ts"
import type { RunFilter, WorkerFilter } from "../../src/store/Store.ts"
import { runOf } from "../contract/store/fixtures.ts"

const runId = "sqlite_autoindex_runs_1 (run_id=?)"
const scheduleId = "sqlite_autoindex_schedules_1 (schedule_id=?)"
const stepId = "sqlite_autoindex_steps_1 (step_id=?)"

/** Of a query that asks for something of every row there is. */
const everything = ["SCAN"]

/** For each query, what its plan must say. An empty list: it looks nothing up. */
const expected: { readonly [group: string]: { readonly [query: string]: ReadonlyArray<string> } } = {
  runs: {
    byId: [runId, "INTEGER PRIMARY KEY"],
    byExternalId: ["runs_by_external_id (namespace=? AND external_id=?)", "INTEGER PRIMARY KEY"],
    newestStatus: ["runs_by_external_id (namespace=? AND external_id=?)"],
    byWorker: ["runs_by_worker (worker_id=?)", "INTEGER PRIMARY KEY"],
    claimable: ["COVERING INDEX runs_due (namespace=? AND task_queue=? AND workflow_type=? AND due_at<?)"],
    nextDue: ["COVERING INDEX runs_due (namespace=? AND task_queue=? AND workflow_type=? AND due_at>?)"],
    insert: [],
    putProgress: [],
    putManyProgress: [],
    input: ["INTEGER PRIMARY KEY"],
    output: ["INTEGER PRIMARY KEY"],
    putInput: [],
    putInputs: [],
    copyInput: ["INTEGER PRIMARY KEY"],
    putOutput: [],
    putOutputs: []
  },
  updates: Object.fromEntries(updates.map((_, index) => [index, ["INTEGER PRIMARY KEY"]])),
  steps: {
    byId: [stepId, "INTEGER PRIMARY KEY"],
    latest: ["steps_by_name (run=? AND name=?)"],
    waiting: ["steps_waiting (run=?)", "COVERING INDEX steps_by_name (run=? AND name=? AND attempt>?)"],
    history: ["steps_by_position (run=? AND position>?)"],
    insertWhole: [],
    insertPlain: [],
    insertManyPlain: [],
    update: [stepId],
    input: ["INTEGER PRIMARY KEY", stepId],
    output: ["INTEGER PRIMARY KEY", stepId],
    putInput: [stepId],
    putOutput: [stepId]
  },
  counts: {
    add: [],
    ofNamespace: ["PRIMARY KEY (namespace=?)"],
    all: everything
  },
  limits: {
    any: everything,
    smallest: ["PRIMARY KEY (namespace=? AND task_queue=? AND workflow_type=?)"],
    ofQueue: ["COVERING INDEX runs_running (namespace=? AND task_queue=?)"],
    ofType: ["COVERING INDEX runs_running (namespace=? AND task_queue=? AND workflow_type=? AND due_at>?)"],
    insert: [],
    remove: ["worker_limits_by_worker (worker_id=?)"]
  },
  removal: {
    ended: ["runs_by_status (namespace=? AND status=? AND (created_at,run_id)>(?,?) AND created_at<?)"],
    newest: [""],
    inputBytes: ["INTEGER PRIMARY KEY"],
    outputBytes: ["INTEGER PRIMARY KEY"],
    steps: ["steps_by_age (run=?)"],
    run: ["INTEGER PRIMARY KEY"],
    progress: ["INTEGER PRIMARY KEY"],
    input: ["INTEGER PRIMARY KEY"],
    output: ["INTEGER PRIMARY KEY"],
    step: ["INTEGER PRIMARY KEY"],
    stepInput: ["INTEGER PRIMARY KEY"],
    stepOutput: ["INTEGER PRIMARY KEY"],
    left: everything,
    leave: [],
    done: ["INTEGER PRIMARY KEY"]
  },
  schedules: {
    byId: [scheduleId],
    get: [scheduleId, "INTEGER PRIMARY KEY"],
    byDue: ["schedules_due ("],
    totals: everything,
    totalsOfNamespace: ["schedules_by_age (namespace=?)"],
    unfinished: ["runs_unfinished_by_schedule (schedule_id=?)", "INTEGER PRIMARY KEY"],
    slots: ["COVERING INDEX runs_by_slot (schedule_id=? AND slot>? AND slot<?)"],
    insert: [],
    update: [scheduleId],
    count: [scheduleId],
    putInput: [scheduleId],
    copyInput: [scheduleId, "INTEGER PRIMARY KEY", runId],
    removeInput: ["INTEGER PRIMARY KEY", scheduleId],
    remove: [scheduleId]
  },
  workers: {
    byId: ["sqlite_autoindex_workers_1 (worker_id=?)"],
    byKey: ["workers_by_key (namespace=? AND task_queue=? AND hostname=? AND pid=? AND instance_id=?)"],
    quiet: ["workers_by_heartbeat (last_heartbeat_at<?)"],
    quietest: ["workers_by_heartbeat"],
    insert: [],
    update: ["sqlite_autoindex_workers_1 (worker_id=?)"],
    active: ["COVERING INDEX runs_by_worker (worker_id=?)"],
    countAll: everything,
    count: ["COVERING INDEX workers_by_status (namespace=?)"],
    namespace: ["sqlite_autoindex_namespaces_1 (namespace=?)"],
    namespaces: ["sqlite_autoindex_namespaces_1 (namespace>?)"],
    countNamespaces: everything,
    insertNamespace: [],
    updateNamespace: ["sqlite_autoindex_namespaces_1 (namespace=?)"]
  }
}

const queries = {
  counts,
  limits,
  removal,
  runs,
  updates,
  schedules,
  steps,
  workers
}

const plan = (sql: string) =>
  Effect.gen(function* () {
    const database = yield* open(":memory:")
    const rows = database
      .prepare<readonly [id: number, parent: number, unused: number, detail: string]>(`EXPLAIN QUERY PLAN ${sql}`)
      .all()
    return rows.map((row) => row[3])
  })

const check = Effect.fnUntraced(function* (sql: string, wanted: ReadonlyArray<string>) {
  // would be planned anew for each value
  assert.notMatch(sql, /LIMIT \?/)
  const details = yield* plan(sql)
  const lookups = details.filter((detail) => detail.startsWith("SEARCH"))
  if (wanted === everything) {
    assert.match(details.join(), /^SCAN [^(]*$/)
    return
  }
  assert.strictEqual(lookups.length, wanted.length, details.join("\n"))
  for (const [index, text] of wanted.entries()) assert.include(lookups[index], text)
  // a subquery ends by its LIMIT
  for (const detail of details) assert.notMatch(detail, /SCAN (?!\(subquery|10-ROW VALUES)|TEMP B-TREE/)
})

describe("query plans", () => {
  for (const [group, sqls] of Object.entries(queries)) {
    it(`every query of ${group} is in the table`, () => {
      assert.sameMembers(Object.keys(sqls), Object.keys(expected[group]!))
    })
    for (const [name, sql] of Object.entries(sqls)) {
      it.effect(`${group}.${name} uses its index`, () => check(sql, expected[group]![name]!))
    }
  }

  const filters: ReadonlyArray<readonly [index: string, filter: Omit<RunFilter, "namespace">]> = [
    ["runs_by_age", {}],
    ["runs_by_age", { createdAfter: 1, createdBefore: 2 }],
    ["runs_by_status", { status: "FAILED" }],
    ["runs_by_status", { status: "FAILED", workflowType: "a", taskQueue: "b", createdAfter: 1, createdBefore: 2 }],
    ["runs_by_type", { workflowType: "a" }],
    ["runs_by_type", { workflowType: "a", taskQueue: "b", createdBefore: 2 }],
    ["runs_by_queue", { taskQueue: "b", createdAfter: 1 }],
    ["runs_by_schedule", { scheduleId: "c" }]
  ]
  const cursor = { at: 1, id: "a" }
  for (const [index, filter] of filters) {
    for (const after of [undefined, cursor]) {
      const fields = Object.keys(filter).join(", ") || "nothing"
      it.effect(`listing runs by ${fields}, ${after ? "next" : "first"} page, reads ${index} in order`, () => {
        const page = runPage({ namespace: "default", ...filter }, { limit: 9, count: false, ...(after && { after }) })
        return check(page.sql, [
          `USING INDEX ${index} (${index === "runs_by_schedule" ? "schedule_id" : "namespace"}=?`,
          "INTEGER PRIMARY KEY",
          "INTEGER PRIMARY KEY",
          "INTEGER PRIMARY KEY"
        ])
      })
    }
  }
  const ofWorkers: ReadonlyArray<readonly [lookup: string, filter: Omit<WorkerFilter, "namespace">]> = [
    ["workers_by_id (namespace=?", {}],
    ["workers_by_queue (namespace=? AND task_queue=?", { taskQueue: "a" }],
    ["workers_by_status (namespace=? AND status=?", { status: "ONLINE" }],
    ["workers_by_status (namespace=? AND status=?", { status: "ONLINE", taskQueue: "a" }]
  ]
  for (const [lookup, filter] of ofWorkers) {
    it.effect(`listing workers by ${Object.keys(filter).join(", ") || "nothing"} reads ${lookup}) in order`, () =>
      Effect.gen(function* () {
        for (const after of [undefined, cursor]) {
          const page = workerPage(
            { namespace: "default", ...filter },
            { limit: 9, count: false, ...(after && { after }) }
          )
          yield* check(page.sql, [lookup])
        }
      })
    )
  }
  for (const [index, taskQueue] of [["schedules_by_age"], ["schedules_by_queue", "a"]] as const) {
    it.effect(`listing schedules reads ${index} in order`, () =>
      Effect.forEach([undefined, cursor], (after) => {
        const filter = { namespace: "default", ...(taskQueue && { taskQueue }) }
        const page = schedulePage(filter, { limit: 9, count: false, ...(after && { after }) })
        return check(page.sql, [`USING INDEX ${index} (namespace=?`, "INTEGER PRIMARY KEY"])
      })
    )
  }
  for (const name of [undefined, "a"]) {
    it.effect(
      `listing ${name === undefined ? "all steps" : "the attempts of a step"} reads steps_by_age in order`,
      () =>
        Effect.forEach([undefined, cursor], (after) => {
          const run = { seq: 1, run: runOf(1) }
          const page = stepPage(run, name, { limit: 9, count: false, ...(after && { after }) })
          return check(page.sql, ["steps_by_age (run=?", ...(after ? [stepId] : [])])
        })
    )
  }
  it.effect("every statement that a store prepares is in the table", () =>
    Effect.gen(function* () {
      const database = yield* open(":memory:")
      const prepared = new Set<string>()
      SqliteStore.make({
        ...database,
        prepare: (sql) => {
          prepared.add(sql)
          return database.prepare(sql)
        }
      })
      const known = Object.values(queries).flatMap((sqls) => Object.values(sqls))
      assert.sameMembers(
        [...prepared].filter((sql) => !known.includes(sql)),
        ["BEGIN IMMEDIATE", "COMMIT", "SELECT count(*) FROM sqlite_schema"]
      )
    })
  )
})
