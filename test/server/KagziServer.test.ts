import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Effect, Exit, Layer, Scope } from "effect"
import { createClient } from "@connectrpc/connect"
import { createConnectTransport } from "@connectrpc/connect-node"
import { WorkflowService } from "../../gen/kagzi/v1/workflow_pb.ts"
import { KagziServer } from "../../src/server/index.ts"
import { version } from "../../src/server/version.ts"
import * as SqliteStore from "../../src/store/sqlite/SqliteStore.ts"
import { endedRun, write } from "../contract/store/fixtures.ts"
import { start } from "./support.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "kagzi-server-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true }))
)

const startError = (options: KagziServer.Options) => Effect.flip(start(options))

const fromEnvironment = (variables: Readonly<Record<string, string>>) =>
  Effect.map(
    Layer.build(
      KagziServer.layerConfig.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(variables))))
    ),
    (context) => Context.get(context, KagziServer.KagziServer)
  )

/** Makes a database with a run that ended a long time ago. */
const endedLongAgo = (file: string) =>
  write({ insertRuns: [endedRun(1, { finishedAt: 1_700_000_000_000, createdAt: 1_700_000_000_000 })] }).pipe(
    Effect.provide(Layer.fresh(SqliteStore.layer(file)), { local: true })
  )

const workflows = (baseUrl: string) =>
  createClient(WorkflowService, createConnectTransport({ baseUrl, httpVersion: "2" }))

const run = { namespace: "default", externalId: "e", taskQueue: "q", workflowType: "t" }

describe("KagziServer", () => {
  it.live("keeps runs in its file from one start to the next", () =>
    Effect.gen(function* () {
      const file = path.join(yield* folder, "data", "kagzi.db")
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(start({ store: KagziServer.sqlite(file) }), scope)
      const { runId } = yield* Effect.promise(() => workflows(first).startWorkflow(run))
      yield* Scope.close(scope, Exit.void)
      const second = yield* start({ store: KagziServer.sqlite(file) })
      const { workflow } = yield* Effect.promise(() => workflows(second).getWorkflow({ namespace: "default", runId }))
      assert.strictEqual(workflow?.externalId, "e")
    })
  )

  it.live("says that its port is in use, and leaves its file to others", () =>
    Effect.gen(function* () {
      const file = path.join(yield* folder, "kagzi.db")
      const address = yield* start()
      const error = yield* startError({ port: Number(new URL(address).port), store: KagziServer.sqlite(file) })
      assert.strictEqual(error.reason, "PortInUse")
      yield* start({ store: KagziServer.sqlite(file) })
    })
  )

  it.live("says that another server has the file", () =>
    Effect.gen(function* () {
      const file = path.join(yield* folder, "kagzi.db")
      const address = yield* start({ store: KagziServer.sqlite(file) })
      const error = yield* startError({ store: KagziServer.sqlite(file) })
      assert.strictEqual(error.reason, "StoreLocked")
      assert.include(error.message, file)
      yield* Effect.promise(() => workflows(address).startWorkflow(run))
    })
  )

  it.live("says that a file is no database, is of a later version, or can't be made", () =>
    Effect.gen(function* () {
      const home = yield* folder
      const garbage = path.join(home, "garbage.db")
      fs.writeFileSync(garbage, "this is not a database, and long enough to look like one".repeat(100))
      assert.strictEqual((yield* startError({ store: KagziServer.sqlite(garbage) })).reason, "StoreCorrupt")
      assert.match(fs.readFileSync(garbage, "utf8"), /^this is not a database/)

      const later = path.join(home, "later.db")
      yield* Effect.scoped(start({ store: KagziServer.sqlite(later) }))
      const database = new DatabaseSync(later)
      database.exec("PRAGMA user_version = 9999")
      database.close()
      assert.strictEqual((yield* startError({ store: KagziServer.sqlite(later) })).reason, "StoreTooNew")

      const error = yield* startError({ store: KagziServer.sqlite(path.join(garbage, "kagzi.db")) })
      assert.strictEqual(error.reason, "StoreUnavailable")
      assert.notInclude(error.message, "\n")
    })
  )

  it.live("gives each server in memory runs of its own", () =>
    Effect.gen(function* () {
      const one = workflows(yield* start())
      const two = workflows(yield* start())
      const first = yield* Effect.promise(() => one.startWorkflow(run))
      const second = yield* Effect.promise(() => two.startWorkflow(run))
      assert.isFalse(second.alreadyExists)
      assert.notStrictEqual(first.runId, second.runId)
    })
  )

  it.live("refuses intervals that make no sense", () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<KagziServer.Options> = [
        { pollTimeout: "2 minutes" },
        { heartbeatInterval: "500 millis" },
        { lease: 0 },
        { lease: "15 seconds" },
        { heartbeatInterval: "20 seconds" },
        { staleAfter: "2 days" },
        { retention: "59 seconds" }
      ]
      for (const options of wrong) {
        const error = yield* startError(options)
        assert.strictEqual(error.reason, "BadConfig")
        assert.include(error.message, Object.keys(options).join())
      }
    })
  )

  it.live("takes its options from the environment", () =>
    Effect.gen(function* () {
      const file = path.join(yield* folder, "env.db")
      const server = yield* fromEnvironment({ KAGZI_DB_URL: `sqlite:${file}`, KAGZI_SERVER_PORT: "0" })
      assert.match(server.address, /^http:\/\/127\.0\.0\.1:\d+$/)
      assert.isTrue(fs.existsSync(file))
      const memory = yield* fromEnvironment({
        KAGZI_DB_URL: "sqlite::memory:",
        KAGZI_SERVER_HOST: "localhost",
        KAGZI_SERVER_PORT: "0",
        KAGZI_MAX_PAYLOAD_BYTES: "1048580"
      })
      assert.strictEqual(memory.address, `http://localhost:${memory.port}`)
      const input = { data: new TextEncoder().encode(JSON.stringify("x".repeat(1_048_579))) }
      const code = yield* Effect.promise(() =>
        workflows(memory.address)
          .startWorkflow({ ...run, input })
          .then(
            () => "accepted",
            (error: Error) => error.message
          )
      )
      assert.include(code, "1048580")
    })
  )

  it.live("removes runs that ended longer ago than it is told, by an option or the environment", () =>
    Effect.gen(function* () {
      const keepsAll = yield* folder
      for (const [file, retention] of [
        [path.join(keepsAll, "kept.db"), undefined],
        [path.join(yield* folder, "a.db"), "option"],
        [path.join(yield* folder, "b.db"), "environment"]
      ] as const) {
        yield* endedLongAgo(file)
        const address =
          retention === "environment"
            ? (yield* fromEnvironment({
                KAGZI_DB_URL: `sqlite:${file}`,
                KAGZI_SERVER_PORT: "0",
                KAGZI_RETENTION_SECS: "60"
              })).address
            : yield* start({ store: KagziServer.sqlite(file), ...(retention && { retention: "1 minute" }) })
        const list = Effect.promise(() => workflows(address).listWorkflows({ namespace: "default" }))
        const { workflows: found } = yield* retention === undefined
          ? list
          : Effect.repeat(list, { until: (page) => page.workflows.length === 0 })
        assert.strictEqual(found.length, retention === undefined ? 1 : 0)
      }
    })
  )

  it.live("names the variable that makes no sense", () =>
    Effect.gen(function* () {
      for (const [name, value] of [
        ["KAGZI_SERVER_PORT", "http"],
        ["KAGZI_SERVER_PORT", "65536"],
        ["KAGZI_WORKER_POLL_TIMEOUT_SECS", "61"],
        ["KAGZI_WORKER_LEASE_SECS", "0"],
        ["KAGZI_RETENTION_SECS", "59"]
      ] as const) {
        const error = yield* Effect.flip(fromEnvironment({ KAGZI_DB_URL: "sqlite::memory:", [name]: value }))
        assert.strictEqual(error.reason, "BadConfig")
        assert.include(error.message, name)
        assert.notInclude(error.message, "\n")
      }
    })
  )

  it.live("refuses database urls that it does not know, without telling a password", () =>
    Effect.gen(function* () {
      for (const url of [
        "mysql://me:secret@host/db",
        "postgres://me:secret@host:port/db",
        "postgres://me:secret@host/db?schema=A-B",
        "postgres://me:secret@host/db?pool_size=2",
        "postgresql://me:secret@host/db?sslmode=strict",
        "postgres://me:secret@host/db?sslmod=require",
        "postgres://me:secret@host/db?sslmode=verify-full&sslrootcert=/does/not/exist",
        "kagzi.db",
        "sqlite:",
        "sqlite://file.db"
      ]) {
        const error = yield* Effect.flip(fromEnvironment({ KAGZI_DB_URL: url }))
        assert.strictEqual(error.reason, "BadUrl")
        assert.notInclude(error.message, "secret")
      }
    })
  )

  it("says the version of the package", () => {
    const manifest: { readonly version: string } = JSON.parse(fs.readFileSync("package.json", "utf8"))
    assert.strictEqual(version, manifest.version)
  })
})
