/**
 * The store on a PostgreSQL database, which any number of servers may share.
 *
 * **Details**
 *
 * A transaction locks what it is about to change, in one order, so that no two wait for each other, and takes two round
 * trips: one to load and one to write and commit. Where it is known what would be loaded, it takes one: see `Known.ts`.
 * What several servers count together, such as the runs of a queue with a limit, is counted under a lock; what would be
 * a row that all of them wait for is kept as differences to add up.
 *
 * **Gotchas**
 *
 * Connections must be sessions: a pooler in between must not hand them out for each transaction.
 */
import { Effect, Layer, Option } from "effect"
import { type Shape, Store, StoreError } from "../Store.ts"
import { compactCounts } from "./compactCounts.ts"
import { hasNoTls, toStoreError } from "./errors.ts"
import * as Hints from "./Hints.ts"
import { Known } from "./Known.ts"
import * as Lanes from "./Lanes.ts"
import { migrate } from "./migrate.ts"
import * as limits from "./queries/limits.ts"
import * as listings from "./queries/listings.ts"
import * as reads from "./queries/reads.ts"
import * as removal from "./queries/removal.ts"
import * as runListings from "./queries/runListings.ts"
import * as Reads from "./Reads.ts"
import * as Time from "./Time.ts"
import * as transact from "./transact.ts"
import { type Options, parse, type Settings } from "./url.ts"

export type { Options } from "./url.ts"

/** Connections that carry out transactions, of so many in all; one listens, and the others read. */
const lanesOf = (poolSize: number): number => Math.max(1, Math.floor((poolSize - 1) / 2))

/**
 * Brings the schema up to date, and tells the settings of further connections. Where TLS is preferred and PostgreSQL has
 * it, those do not go on without: nobody takes it away later by answering in the place of PostgreSQL.
 */
const prepare = Effect.fnUntraced(function* (settings: Settings) {
  const { connection, isLocal, place, prefersTls } = settings
  if (prefersTls) {
    const encrypted = { ...connection, ssl: { rejectUnauthorized: false } }
    const isEncrypted = yield* migrate({ ...settings, connection: encrypted }).pipe(
      Effect.as(true),
      Effect.catch((error) => (hasNoTls(error) ? Effect.succeed(false) : Effect.fail(error)))
    )
    if (isEncrypted) return encrypted
    if (!isLocal) {
      yield* Effect.logWarning(
        `${place}: PostgreSQL offers no TLS, so passwords and payloads are sent as they are. Set sslmode=disable if that is meant, or a mode that insists on TLS`
      )
    }
  }
  yield* migrate(settings)
  return connection
})

const make = Effect.fnUntraced(function* (settings: Settings) {
  const { place, poolSize, schema } = settings
  const connection = yield* prepare(settings)
  const known = new Known()
  const lanes = yield* Lanes.make(connection, lanesOf(poolSize), () => known.clear())
  const { list, moved, read, readChecked } = yield* Effect.mapError(
    Reads.make(connection, poolSize - 1 - lanesOf(poolSize), place),
    (error) => toStoreError(place, error)
  )
  yield* read(Lanes.forgetOld)
  const now = yield* Time.make(read)
  const hints = yield* Hints.make(connection, schema, read, moved)
  const compaction = yield* compactCounts(read)

  const find = <A>(question: reads.Read<A | undefined>) => Effect.map(read(question), Option.fromUndefinedOr)
  /** For what depends on the time. */
  const atNow = <A, E>(ask: (now: number) => Effect.Effect<A, E>) => Effect.flatMap(now, ask)

  const shape: Shape = {
    now,
    hints: hints.hints,
    tell: hints.tell,
    isShared: hints.areOthersBusy,
    lanes: lanesOf(poolSize),
    transact: transact.make(
      lanes,
      known,
      place,
      (committed) => {
        compaction.committed(committed.changes)
        hints.committed(committed.changes, committed.workers)
      },
      hints.unknown
    ),
    getNamespace: (namespace) => find(reads.namespace(namespace)),
    listNamespaces: (page) => list(listings.namespaces(page)),
    getRun: (namespace, runId) => atNow((now) => find(reads.run(namespace, runId, now))),
    getRunRecord: (namespace, runId) => find(reads.runRecord(namespace, runId)),
    getInput: (runId) => find(reads.input(runId)),
    getOutput: (runId) => find(reads.output(runId)),
    endedRuns: (runIds) => read(reads.endedRuns(runIds)),
    missingRuns: (runIds) => read(reads.missingRuns(runIds)),
    lostRuns: (held) => read(reads.lostRuns(held)),
    getRunByExternalId: (namespace, externalId) =>
      atNow((now) => find(reads.runByExternalId(namespace, externalId, now))),
    listRuns: (filter, page) => atNow((now) => list(runListings.runs(filter, page, now))),
    getStep: (namespace, stepId) => find(reads.step(namespace, stepId)),
    listSteps: (filter, page) => list(runListings.steps(filter, page)),
    history: (runId, after, maxBytes) => read(reads.history(runId, after, maxBytes)),
    getWorker: (workerId) => find(reads.worker(workerId)),
    listWorkers: (filter, page) => list(listings.workers(filter, page)),
    countWorkers: (namespace) => read(reads.countWorkers(namespace)),
    countRuns: (namespace) => read(reads.countRuns(namespace)),
    nextDue: (namespace, taskQueue, workflowTypes) => find(reads.nextDue(namespace, taskQueue, workflowTypes)),
    occupancy: (namespace, taskQueue, workflowTypes, now) =>
      read({
        ...limits.occupancy(limits.placesOf({ namespace, taskQueue }, workflowTypes, now)),
        decode: (rows) => rows.map(limits.toOccupancy)
      }),
    getSchedule: (namespace, scheduleId) => find(listings.schedule(namespace, scheduleId)),
    listSchedules: (filter, page) => list(listings.schedules(filter, page)),
    countSchedules: (namespace) => read(reads.countSchedules(namespace)),
    schedulesByDue: (limit, after) => read(listings.schedulesByDue(limit, after)),
    removeEnded: (which, room) =>
      Effect.tap(read(removal.removeEnded(which, room)), ({ removed }) =>
        Effect.sync(() => {
          if (removed > 0) compaction.removed()
        })
      ),
    removeLeftSteps: (room) => read(removal.removeLeftSteps(room)),
    quietest: find(reads.quietest),
    ping: readChecked(reads.ping)
  }
  return shape
})

/**
 * The store in that database: see `url.ts` for what a url says. The schema and its tables are made if they don't exist, and
 * brought up to date, also when several servers start at once.
 *
 * Fails with a `StoreError` whose message names the database, and no secret, when it can't be reached, is not ours, or
 * was written by a newer version.
 */
export const layer = (url: string, options: Options = {}): Layer.Layer<Store, StoreError> =>
  Layer.effect(
    Store,
    Effect.suspend(() => {
      const settings = parse(url, options)
      return settings._tag === "Success"
        ? make(settings.success)
        : Effect.fail(
            new StoreError({
              message: `The url of the PostgreSQL database is wrong: ${settings.failure}`,
              transient: false,
              reason: "url"
            })
          )
    })
  )
