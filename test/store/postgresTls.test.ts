/**
 * Connections under TLS. The certificates in `test/support/tls` are made for these tests: `server.crt`, for `localhost`,
 * is signed by `ca.crt`, and `other.crt` has signed nothing.
 */
import { chmodSync, chownSync, copyFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type EmbeddedServer, startEmbedded } from "../support/embeddedPostgres.ts"
import { query } from "../support/postgres.ts"
import { open, prepare } from "./counting.ts"

const fileOf = (name: string) => fileURLToPath(new URL(`../support/tls/${name}`, import.meta.url))

let server: EmbeddedServer

beforeAll(async () => {
  server = await startEmbedded()
  const url = `${server.url}/postgres`
  const [row] = await Effect.runPromise(query(url, "SHOW data_directory"))
  const folder = String(row?.data_directory)
  const { gid, uid } = statSync(folder)
  for (const name of ["server.crt", "server.key"]) {
    const file = join(folder, name)
    copyFileSync(fileOf(name), file)
    // PostgreSQL takes no key that others may read
    chmodSync(file, 0o600)
    chownSync(file, uid, gid)
  }
  await Effect.runPromise(query(url, "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"))
  for (;;) {
    const [found] = await Effect.runPromise(query(url, "SHOW ssl"))
    if (found?.ssl === "on") break
  }
}, 60_000)
afterAll(() => server.remove())

const urlOf = (host: string, parameters: Readonly<Record<string, string>>) => {
  const url = new URL(`${server.url}/postgres`)
  url.hostname = host
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return url.href
}

const ca = { sslrootcert: fileOf("ca.crt") }
const other = { sslrootcert: fileOf("other.crt") }

const accepted = [
  ["require, whoever answers", "127.0.0.1", { sslmode: "require" }],
  ["require, from whom a known authority has signed", "127.0.0.1", { sslmode: "require", ...ca }],
  ["verify-ca, under another name", "127.0.0.1", { sslmode: "verify-ca", ...ca }],
  ["verify-full, under its name", "localhost", { sslmode: "verify-full", ...ca }]
] as const

const refused = [
  ["require, from whom another authority has signed", "127.0.0.1", { sslmode: "require", ...other }],
  ["verify-ca, from whom another authority has signed", "localhost", { sslmode: "verify-ca", ...other }],
  ["verify-full, from whom another authority has signed", "localhost", { sslmode: "verify-full", ...other }],
  ["verify-full, under another name", "127.0.0.1", { sslmode: "verify-full", ...ca }],
  ["verify-full, from whom nobody has signed that the system knows", "localhost", { sslmode: "verify-full" }],
  ["prefer, from whom nobody has signed that the system knows", "localhost", { sslmode: "prefer" }]
] as const

const encrypted = Effect.suspend(() =>
  query(
    `${server.url}/postgres`,
    `SELECT DISTINCT s.ssl FROM pg_stat_ssl AS s JOIN pg_stat_activity AS a ON a.pid = s.pid
      WHERE a.application_name = 'kagzi'`
  )
)

describe("a store whose url asks for TLS", () => {
  for (const [name, host, parameters] of accepted) {
    it.live(`connects with ${name}`, () =>
      Effect.gen(function* () {
        const store = yield* open(urlOf(host, { ...parameters, schema: `s${accepted.findIndex(([n]) => n === name)}` }))
        yield* prepare(store, 1)
        yield* store.ping
        assert.deepStrictEqual(yield* encrypted, [{ ssl: true }])
      }).pipe(Effect.scoped)
    )
  }

  for (const [name, host, parameters] of refused) {
    it.live(`refuses to connect with ${name}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(open(urlOf(host, parameters)))
        assert.match(error.message, /certificate/i)
        assert.notInclude(error.message, "password")
      }).pipe(Effect.scoped)
    )
  }

  it.live("does without where it asks for none", () =>
    Effect.gen(function* () {
      yield* open(urlOf("127.0.0.1", { schema: "plain" }))
      assert.deepStrictEqual(yield* encrypted, [{ ssl: false }])
    }).pipe(Effect.scoped)
  )
})
