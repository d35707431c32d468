/**
 * Connections under TLS. The certificates in `test/support/tls` are made for these tests: `server.crt`, for `localhost`,
 * is signed by `ca.crt`, and `other.crt` has signed nothing.
 */
import { chmodSync, chownSync, copyFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { type EmbeddedServer, startEmbedded } from "../support/embeddedPostgres.ts"
import * as Pooler from "../support/pooler.ts"
import { emptyDatabase, query } from "../support/postgres.ts"
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
  ["no mode, whoever answers", "127.0.0.1", {}],
  ["prefer, whoever answers", "127.0.0.1", { sslmode: "prefer" }],
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
  ["verify-full, from whom nobody has signed that the system knows", "localhost", { sslmode: "verify-full" }]
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
      yield* open(urlOf("127.0.0.1", { schema: "plain", sslmode: "disable" }))
      assert.deepStrictEqual(yield* encrypted, [{ ssl: false }])
    }).pipe(Effect.scoped)
  )

  it.live("warns where it found none, unless it asks for none or stays on the machine", () =>
    Effect.gen(function* () {
      const url = new URL(yield* emptyDatabase)
      const logged: Array<string> = []
      const logger = Logger.make(({ message }) => void logged.push(String(message)))
      const opened = (host: string, mode: string) => {
        url.hostname = host
        return Effect.provide(open(`${url.href}${mode}`), Logger.layer([logger]))
      }
      yield* opened("127.0.0.1", "")
      // this machine too, by a name that does not say so
      yield* opened("0.0.0.0", "?sslmode=disable")
      assert.deepStrictEqual(logged, [])
      yield* opened("0.0.0.0", "")
      assert.strictEqual(logged.length, 1)
      assert.match(logged[0]!, /offers no TLS/)
      assert.notInclude(logged[0]!, "password@")
    }).pipe(Effect.scoped)
  )

  it.live("does not go on without where PostgreSQL had it, whoever says that there is none", () =>
    Effect.gen(function* () {
      const url = new URL(urlOf("127.0.0.1", { schema: "kept" }))
      const pooler = yield* Pooler.make(Number(url.port))
      url.host = pooler.host
      const store = yield* open(url.href)
      yield* prepare(store, 1)
      pooler.refusesTls = true
      yield* query(
        `${server.url}/postgres`,
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'kagzi'"
      )
      const error = yield* Effect.flip(store.ping)
      assert.include(error.message, "does not support TLS")
      assert.isTrue(error.transient)
      pooler.refusesTls = false
      yield* store.ping
      assert.deepStrictEqual(yield* encrypted, [{ ssl: true }])
    }).pipe(Effect.scoped)
  )
})
