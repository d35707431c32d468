/** Where the servers that are measured keep their runs. */
import { mkdtempSync, rmSync, statfsSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import { Context, Effect, Redacted, type Scope } from "effect"
import { startEmbedded } from "../test/support/embeddedPostgres.ts"

const fileSystems = new Map([
  [0xef53, "ext4"],
  [0x58465342, "xfs"],
  [0x9123683e, "btrfs"],
  [0x794c7630, "overlayfs"],
  [0x01021994, "tmpfs, which is not durable"]
])

const fileSystem = (folder: string): string => {
  const { type } = statfsSync(folder)
  return fileSystems.get(type) ?? `file system 0x${type.toString(16)}`
}

export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "kagzi-bench-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

export interface Database {
  /** For people. */
  readonly store: string
  readonly durability: string
  /** The url of a new database, gone with the scope. */
  readonly make: Effect.Effect<string, never, Scope.Scope>
}

const sqlite: Database = {
  store: `SQLite (WAL) on ${fileSystem(tmpdir())}`,
  durability: "synchronous=FULL: every start, step and end is flushed to disk before it is answered",
  make: Effect.map(temporaryFolder, (folder) => `sqlite:${join(folder, "kagzi.db")}`)
}

/** A PostgreSQL of our own, set as it comes, which is how others are measured too. */
export const postgres = Effect.gen(function* () {
  const server = yield* Effect.acquireRelease(
    Effect.promise(() => startEmbedded([])),
    (server) => Effect.promise(server.remove)
  )
  const session = yield* Effect.orDie(PgConnection.make({ url: Redacted.make(`${server.url}/postgres`) }))
  const ask = (statement: string) => Effect.orDie(session.query(statement, [], false))
  const settings = yield* ask("SELECT name, setting FROM pg_settings")
  const setting = (wanted: string) => String(settings.rows.find(({ name }) => name === wanted)?.setting)
  const durable = ["fsync", "synchronous_commit", "full_page_writes"].map((name) => `${name}=${setting(name)}`)
  let databases = 0
  const database: Database = {
    store: `PostgreSQL ${setting("server_version")} as it comes, on ${fileSystem(tmpdir())}`,
    durability: `${durable.join(", ")}: every start, step and end is flushed to disk before it is answered`,
    make: Effect.acquireRelease(
      Effect.suspend(() => {
        const name = `bench_${++databases}`
        return Effect.as(ask(`CREATE DATABASE ${name}`), name)
      }),
      (name) => ask(`DROP DATABASE ${name} WITH (FORCE)`)
    ).pipe(Effect.map((name) => `${server.url}/${name}`))
  }
  return database
})

/** SQLite, unless something else is measured. */
export const Database = Context.Reference<Database>("bench/Database", { defaultValue: () => sqlite })
