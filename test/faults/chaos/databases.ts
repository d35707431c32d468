/** The database of a trial, and how it fails. */
import { existsSync, statSync } from "node:fs"
import { join } from "node:path"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import { Effect, type Layer, Redacted, Schedule, type Scope } from "effect"
import * as PostgresStore from "../../../src/store/postgres/PostgresStore.ts"
import * as SqliteStore from "../../../src/store/sqlite/SqliteStore.ts"
import type { Store, StoreError } from "../../../src/store/Store.ts"
import type { Chance } from "../../../src/testing/simulator/Chance.ts"
import * as CommitCutter from "../../support/commitCutter.ts"
import { limitFiles } from "../../support/diskSpace.ts"
import { startEmbedded } from "../../support/embeddedPostgres.ts"
import type { Child } from "../../support/process.ts"
import type { Fault, StoreKind } from "./plan.ts"

export interface Database {
  /** As servers are told it. */
  readonly url: string
  /** Does to it what the fault says, for as long as it lasts. `server` is the one there is where there is one alone. */
  readonly suffer: (fault: Fault, server: () => Child) => Effect.Effect<void>
  /** Whether it can be read while servers have it. */
  readonly isShared: boolean
  /** What it has, in the end or meanwhile. */
  readonly store: Layer.Layer<Store, StoreError>
}

const run = (url: string, statement: string) =>
  Effect.scoped(
    Effect.flatMap(PgConnection.make({ url: Redacted.make(url) }), (connection) =>
      connection.query(statement, [], false)
    )
  )

/** A part of them is in the middle of something. */
const killBackends = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = 'kagzi' AND pid <> pg_backend_pid() AND (state <> 'idle' OR random() < 0.5)`

/** How likely a connection breaks at each commit, and at each thing sent, while they are cut. */
const cutChance = 0.02

const postgres = (chance: Chance): Effect.Effect<Database, never, Scope.Scope> =>
  Effect.gen(function* () {
    const server = yield* Effect.acquireRelease(
      Effect.promise(() => startEmbedded()),
      ({ remove }) => Effect.promise(remove)
    )
    yield* Effect.orDie(run(`${server.url}/postgres`, "CREATE DATABASE kagzi"))
    const direct = new URL(`${server.url}/kagzi`)
    const cutter = yield* CommitCutter.make(Number(direct.port), () => chance.fraction())
    const through = new URL(direct)
    through.host = cutter.host
    const start = Effect.tryPromise(server.start).pipe(
      // what a killed one left behind may take a moment to go
      Effect.retry({ schedule: Schedule.spaced("300 millis"), times: 50 }),
      Effect.orDie
    )
    return {
      url: through.href,
      suffer: ({ kind, lasts }) => {
        switch (kind) {
          case "restartDatabase":
            return Effect.promise(server.stop).pipe(Effect.andThen(Effect.sleep(lasts)), Effect.andThen(start))
          case "killDatabase":
            return Effect.promise(server.kill).pipe(Effect.andThen(Effect.sleep(lasts)), Effect.andThen(start))
          case "killBackends":
            return Effect.ignore(run(direct.href, killBackends))
          case "cutCommits":
            return Effect.sync(() => {
              cutter.chance = cutChance
            }).pipe(
              Effect.andThen(Effect.sleep(lasts)),
              Effect.andThen(
                Effect.sync(() => {
                  cutter.chance = 0
                })
              )
            )
          default:
            return Effect.void
        }
      },
      isShared: true,
      store: PostgresStore.layer(direct.href, { poolSize: 4 })
    }
  })

const sizeOf = (path: string): number => (existsSync(path) ? statSync(path).size : 0)

const sqlite = (folder: string, chance: Chance): Effect.Effect<Database> =>
  Effect.sync(() => {
    const file = join(folder, "kagzi.db")
    return {
      url: `sqlite:${file}`,
      suffer: ({ kind, lasts }, server) => {
        if (kind !== "fillDisk") return Effect.void
        return Effect.suspend(() => {
          const child = server()
          // sometimes what is there may still be written over
          limitFiles(child, Math.floor(chance.fraction() * sizeOf(`${file}-wal`)))
          return Effect.ensuring(
            Effect.sleep(lasts),
            Effect.sync(() => limitFiles(child, undefined))
          )
        })
      },
      isShared: false,
      store: SqliteStore.layer(file)
    }
  })

export const make = (kind: StoreKind, folder: string, chance: Chance): Effect.Effect<Database, never, Scope.Scope> =>
  kind === "postgres" ? postgres(chance) : sqlite(folder, chance)
