/**
 * The store on a file of the machine, with the SQLite that comes with Node.
 *
 * **Details**
 *
 * The file is locked for as long as the process lives; the operating system lets go of it however the process ends.
 * Commits are flushed to disk before they are reported (`synchronous = FULL`).
 *
 * **Gotchas**
 *
 * SQLite works on the calling thread: each call blocks the event loop, a transaction for as long as the disk takes to
 * flush it.
 */
import { Clock, Effect, Layer, Option, Result } from "effect"
import { type Changes, type Rows, type Shape, Store, StoreError } from "../Store.ts"
import { type Database, open } from "./database.ts"
import * as counts from "./queries/counts.ts"
import * as limits from "./queries/limits.ts"
import * as listings from "./queries/listings.ts"
import { load } from "./queries/load.ts"
import { endedRuns, lostRuns } from "./queries/lookups.ts"
import * as removal from "./queries/removal.ts"
import * as runs from "./queries/runs.ts"
import { save } from "./queries/save.ts"
import * as schedules from "./queries/schedules.ts"
import * as steps from "./queries/steps.ts"
import * as workers from "./queries/workers.ts"
import { toStep } from "./stepRow.ts"

/** Changes of so many runs in one transaction show that many execute at once. */
const manyRuns = 16

/** The store on an open database. */
export const make = ({ attempt, file, lengthenLog, prepare, rollback: undo }: Database): Shape => {
  const queries = {
    counts: counts.make(prepare),
    limits: limits.make(prepare),
    namespaces: workers.makeNamespaces(prepare),
    runs: runs.make(prepare),
    schedules: schedules.make(prepare),
    steps: steps.make(prepare),
    workers: workers.make(prepare)
  }
  const removals = removal.make(prepare, queries.counts)
  const lists = listings.make(prepare, queries.runs, queries.steps)
  const begin = prepare("BEGIN IMMEDIATE")
  const commit = prepare("COMMIT")
  const touch = prepare("SELECT count(*) FROM sqlite_schema")

  let isBusy = false
  const noteSize = ({ insertRuns, updateRuns }: Changes) => {
    if (isBusy || insertRuns.length + updateRuns.length < manyRuns) return
    isBusy = true
    attempt(lengthenLog)
  }

  const rollback = () => {
    undo()
    const { limits, namespaces, runs, workers } = queries
    for (const kept of [limits, namespaces, runs, workers]) kept.rolledBack()
  }
  const findRun = (namespace: string, runId: string) => {
    const stored = queries.runs.byId(runId)
    return stored?.run.namespace === namespace ? stored : undefined
  }

  const read = <A>(query: () => A): Effect.Effect<A, StoreError> =>
    Effect.suspend(() => Effect.fromResult(attempt(query)))

  /** A transaction that decides nothing. */
  const write = <A>(work: () => A): Effect.Effect<A, StoreError> =>
    Effect.suspend(() => {
      const written = attempt(() => {
        begin.run()
        const value = work()
        commit.run()
        return value
      })
      if (Result.isFailure(written)) rollback()
      return Effect.fromResult(written)
    })

  const transact = <A>(
    wants: Parameters<Shape["transact"]>[0],
    decide: (rows: Rows) => { readonly changes: Changes; readonly value: A }
  ): Effect.Effect<A, StoreError> =>
    Effect.suspend(() => {
      const loaded = attempt(() => {
        begin.run()
        return load(queries, wants)
      })
      if (Result.isFailure(loaded)) {
        rollback()
        return Effect.fail(loaded.failure)
      }
      const decided = Result.try({ try: () => decide(loaded.success), catch: (defect) => defect })
      if (Result.isFailure(decided)) {
        rollback()
        return Effect.die(decided.failure)
      }
      const saved = attempt(() => {
        const missing = save(queries, decided.success.changes, loaded.success)
        if (missing === undefined) commit.run()
        return missing
      })
      if (Result.isFailure(saved)) {
        rollback()
        return Effect.fail(saved.failure)
      }
      if (saved.success !== undefined) {
        rollback()
        return Effect.fail(new StoreError({ message: `${file}: there is no ${saved.success}`, transient: false }))
      }
      queries.runs.committed()
      noteSize(decided.success.changes)
      return Effect.succeed(decided.success.value)
    })

  return {
    now: Clock.currentTimeMillis,
    transact,
    getNamespace: (namespace) => read(() => Option.fromUndefinedOr(queries.namespaces.byName(namespace))),
    getRun: (namespace, runId) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        read(() => Option.map(Option.fromUndefinedOr(findRun(namespace, runId)), (stored) => lists.run(stored, now)))
      ),
    getRunRecord: (namespace, runId) => read(() => Option.fromUndefinedOr(findRun(namespace, runId)?.run)),
    getInput: (runId) =>
      read(() => Option.flatMapNullishOr(Option.fromUndefinedOr(queries.runs.byId(runId)), queries.runs.input)),
    getOutput: (runId) =>
      read(() => Option.flatMapNullishOr(Option.fromUndefinedOr(queries.runs.byId(runId)), queries.runs.output)),
    endedRuns: (runIds) => read(() => endedRuns(queries.runs, runIds)),
    missingRuns: (runIds) => read(() => runIds.filter((runId) => queries.runs.byId(runId) === undefined)),
    lostRuns: (held) => read(() => lostRuns(queries.runs, held)),
    getRunByExternalId: (namespace, externalId) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        read(() =>
          Option.map(Option.fromUndefinedOr(queries.runs.byExternalId(namespace, externalId)), (stored) =>
            lists.run(stored, now)
          )
        )
      ),
    listRuns: (filter, page) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => read(() => lists.runs(filter, page, now))),
    getStep: (namespace, stepId) =>
      read(() => {
        const step = queries.steps.byId(stepId)
        return step?.namespace === namespace ? Option.some(toStep(step)) : Option.none()
      }),
    listSteps: (filter, page) => read(() => lists.steps(filter, page)),
    history: (runId, after, maxBytes) =>
      read(() => {
        const stored = queries.runs.byId(runId)
        return stored === undefined ? { steps: [], hasMore: false } : queries.steps.history(stored, after, maxBytes)
      }),
    listNamespaces: (page) => read(() => queries.namespaces.page(page)),
    getWorker: (workerId) => read(() => Option.fromUndefinedOr(queries.workers.described(workerId))),
    listWorkers: (filter, page) => read(() => queries.workers.page(filter, page)),
    countWorkers: (namespace) => read(() => queries.workers.count(namespace)),
    countRuns: (namespace) => read(() => queries.counts.read(namespace)),
    nextDue: (namespace, taskQueue, workflowTypes) =>
      read(() => Option.fromUndefinedOr(queries.runs.nextDue(namespace, taskQueue, workflowTypes))),
    occupancy: (namespace, taskQueue, workflowTypes, now) =>
      read(() => queries.limits.occupancy(namespace, taskQueue, workflowTypes, now)),
    getSchedule: (namespace, scheduleId) =>
      read(() => Option.fromUndefinedOr(queries.schedules.get(namespace, scheduleId))),
    listSchedules: (filter, page) => read(() => queries.schedules.list(filter, page)),
    countSchedules: (namespace) => read(() => queries.schedules.total(namespace)),
    schedulesByDue: (limit, after) => read(() => queries.schedules.byDue(limit, after)),
    removeEnded: (which, room) => write(() => removals.removeEnded(which, room)),
    removeLeftSteps: (room) => write(() => removals.removeLeftSteps(room)),
    quietest: read(() => Option.fromUndefinedOr(queries.workers.quietest())),
    ping: read(() => {
      touch.get()
    })
  }
}

/** Opens the database. Preparing the statements reads the schema, which may turn out to be damaged. */
const acquire = Effect.fnUntraced(function* (file: string) {
  const database = yield* open(file)
  return yield* Effect.fromResult(database.attempt(() => make(database)))
})

/**
 * The store on that file, which is made, with its folder, if it does not exist.
 *
 * Fails with a `StoreError` whose message names the file when another process holds it, when it is not ours, is
 * damaged, or was written by a newer version.
 */
export const layer = (path: string): Layer.Layer<Store, StoreError> => Layer.effect(Store, acquire(path))

/** A store that lives in memory and is gone with its scope. */
export const layerMemory: Layer.Layer<Store, StoreError> = layer(":memory:")
