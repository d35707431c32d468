/** A folder with a server's database, unless it is on PostgreSQL, and a ledger, and the processes that belong to it. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { Effect, Layer, References, Schedule, Scope } from "effect"
import { KagziClient } from "../../src/index.ts"
import * as CuttingProxy from "../support/cuttingProxy.ts"
import * as Process from "../support/process.ts"
import { emptyDatabase, onPostgres } from "../support/stores.ts"
import { temporaryFolder } from "./temporaryFolder.ts"
import { type Entry, gatePath, read } from "./processes/ledger.ts"

export { temporaryFolder } from "./temporaryFolder.ts"

type Environment = Readonly<Record<string, string>>

/** Of everything that is left to chance. */
export const seed = process.env.KAGZI_TEST_SEED ?? String(Math.floor(Math.random() * 1e9))

/** A server that can be killed and started again, on the same database and at the same address. */
export interface Server {
  readonly address: string
  /** The process that serves now. */
  readonly process: () => Process.Child
  /** Kills the process with SIGKILL, if it is there, and starts another one. Waits until that one is ready. */
  readonly restart: Effect.Effect<void, Error>
  /** Asks the process to end, and starts another one when it has. Fails unless it ends in good order. */
  readonly replace: Effect.Effect<void, Error>
}

/** What a worker process is told. */
export interface WorkerSettings {
  /** The most runs it executes at a time. */
  readonly maxConcurrent?: number
  /** How long a shutdown waits for its runs, in milliseconds. */
  readonly gracePeriod?: number
  /** The limits that it declares. */
  readonly queueConcurrencyLimit?: number
  readonly workflowTypeConcurrency?: Readonly<Record<string, number>>
  /** How many queues it serves beside the usual one. */
  readonly queues?: number
}

export interface Place {
  readonly folder: string
  readonly server: Server
  /** Starts a worker process. Does not wait until it is registered: `registered` does. */
  readonly worker: (settings?: WorkerSettings) => Effect.Effect<Process.Child>
  /** Everything that workers have written down so far, in order. */
  readonly ledger: () => ReadonlyArray<Entry>
  /** Waits until the ledger has an entry like that, and gives the first. */
  readonly written: (like: Partial<Entry>) => Effect.Effect<Entry>
  /** Lets the steps that wait for it go on. */
  readonly openGate: Effect.Effect<void>
  /** A client of the server. */
  readonly client: Layer.Layer<KagziClient>
}

/** Waits until a worker process is registered. */
export const registered = (worker: Process.Child): Effect.Effect<string, Error> => worker.line(/^registered (.+)$/)

/** Looks again every few milliseconds, until what is found fits. */
export const until = <A, E, R>(look: Effect.Effect<A, E, R>, fits: (found: A) => boolean): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    for (;;) {
      const found = yield* look
      if (fits(found)) return found
      yield* Effect.sleep("5 millis")
    }
  })

/** Asks again until there is an answer: what was asked for may have been done, and must be safe to repeat. */
export const answered: <A, E extends { readonly _tag: string }, R>(
  asked: Effect.Effect<A, E, R>
) => Effect.Effect<A, E, R> = Effect.retry({
  while: ({ _tag }) => _tag === "Unavailable" || _tag === "Timeout",
  schedule: Schedule.spaced("20 millis")
})

/** The database of a place with one server. */
const databaseFor = (folder: string) =>
  onPostgres ? emptyDatabase : Effect.succeed(`sqlite:${join(folder, "kagzi.db")}`)

/** A server process on that database. */
export const serve = Effect.fnUntraced(function* (database: string, environment: Environment) {
  const scope = yield* Effect.scope
  const start = Effect.fnUntraced(function* (port: string) {
    const child = yield* Process.start("src/cli/main.ts", {
      args: ["server", "--port", port, "--db-url", database],
      environment: { KAGZI_LOG_LEVEL: "error", ...environment }
    }).pipe(Effect.provideService(Scope.Scope, scope))
    return { child, address: yield* child.line(/^kagzi server listening on (.+)$/) }
  })
  const { address, child } = yield* start("0")
  let current = child
  const restart = Effect.gen(function* () {
    yield* current.kill
    current = (yield* start(new URL(address).port)).child
  })
  const replace = Effect.gen(function* () {
    yield* current.signal("SIGTERM")
    const end = yield* current.ended
    if (end !== 0) return yield* Effect.fail(new Error(`The server ended with ${end}: ${current.complaints()}`))
    current = (yield* start(new URL(address).port)).child
  })
  return { address, process: () => current, restart, replace } satisfies Server
})

/** A fresh place with its server running. `environment` is the server's. All of it is gone when the scope closes. */
export const make = Effect.fnUntraced(function* (environment: Environment = {}) {
  const folder = yield* temporaryFolder
  const server = yield* serve(yield* databaseFor(folder), environment)
  return yield* around(folder, server, { workers: server.address, clients: server.address })
})

/** A place whose workers and clients reach the server through proxies, which do not cut before they are told. */
export interface Remote extends Place {
  readonly proxies: {
    readonly workers: CuttingProxy.CuttingProxy
    readonly clients: CuttingProxy.CuttingProxy
  }
  readonly startCutting: Effect.Effect<void>
  readonly stopCutting: Effect.Effect<void>
}

/** What a test in a place may use. */
export type Needs = KagziClient | Scope.Scope

/** A fresh remote place. The seed is that of the cuts, which come every 200 ms in the mean on each connection. */
export const makeRemote = Effect.fnUntraced(function* (environment: Environment, seed: string) {
  const folder = yield* temporaryFolder
  const server = yield* serve(yield* databaseFor(folder), environment)
  const proxies = {
    workers: yield* CuttingProxy.make({ target: server.address, seed: `${seed} workers` }),
    clients: yield* CuttingProxy.make({ target: server.address, seed: `${seed} clients` })
  }
  const both = Object.values(proxies)
  const place = yield* around(folder, server, { workers: proxies.workers.address, clients: proxies.clients.address })
  return {
    ...place,
    proxies,
    startCutting: Effect.sync(() => {
      for (const proxy of both) proxy.startCutting()
    }),
    stopCutting: Effect.sync(() => {
      for (const proxy of both) proxy.stopCutting()
    })
  } satisfies Remote
})

/**
 * Fails unless what went over these connections went over sessions: then a connection has a few calls to begin with,
 * and none for each command. `others` is how many calls more are made one by one.
 */
export const wereSessions = ({ calls, connections }: CuttingProxy.Counts, others = 0): void => {
  assert.isAbove(calls, 0)
  assert.isAtMost(calls, 4 * connections + others)
}

/** Where workers and clients find the server. */
interface Addresses {
  readonly workers: string
  readonly clients: string
}

/** The place around a server that is there. */
export const around = Effect.fnUntraced(function* (folder: string, server: Server, addresses: Addresses) {
  const scope = yield* Effect.scope
  const ledger = () => read(folder)
  const isLike = (like: Partial<Entry>) => (entry: Entry) =>
    Object.entries(like).every(([key, value]) => entry[key as keyof Entry] === value)
  const place: Place = {
    folder,
    server,
    worker: ({ gracePeriod = 30_000, maxConcurrent = 10, ...limits } = {}) =>
      Process.start("test/faults/processes/worker.ts", {
        args: [String(maxConcurrent), String(gracePeriod), JSON.stringify(limits)],
        environment: { KAGZI_SERVER_ADDRESS: addresses.workers }
      }).pipe(Effect.provideService(Scope.Scope, scope)),
    ledger,
    written: (like) =>
      Effect.map(
        until(Effect.sync(ledger), (entries) => entries.some(isLike(like))),
        (entries) => entries.find(isLike(like))!
      ),
    openGate: Effect.sync(() => writeFileSync(gatePath(folder), "")),
    client: Layer.provideMerge(
      Layer.orDie(KagziClient.layer({ address: addresses.clients })),
      Layer.succeed(References.MinimumLogLevel, "Error")
    )
  }
  return place
})

/** Short leases: a worker that is gone is found out within seconds. */
export const impatient = {
  KAGZI_WORKER_LEASE_SECS: "2",
  KAGZI_WORKER_HEARTBEAT_INTERVAL_SECS: "1",
  KAGZI_WORKER_STALE_SECS: "3"
}

/** Leases so long that nothing in a test can have waited for one. */
export const patient = {
  KAGZI_WORKER_LEASE_SECS: "3600",
  KAGZI_WORKER_HEARTBEAT_INTERVAL_SECS: "1",
  KAGZI_WORKER_STALE_SECS: "3600"
}
