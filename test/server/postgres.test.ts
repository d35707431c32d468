/** Servers on a PostgreSQL database: how they start, and what they say when they can't. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { createClient } from "@connectrpc/connect"
import { createConnectTransport } from "@connectrpc/connect-node"
import { WorkflowService } from "../../gen/kagzi/v1/workflow_pb.ts"
import { KagziServer } from "../../src/server/index.ts"
import * as Postgres from "../support/postgres.ts"
import * as Process from "../support/process.ts"
import { start } from "./support.ts"

const workflows = (baseUrl: string) =>
  createClient(WorkflowService, createConnectTransport({ baseUrl, httpVersion: "2" }))

const run = { namespace: "default", externalId: "e", taskQueue: "q", workflowType: "t" }

const startError = (url: string) => Effect.flip(start({ store: KagziServer.postgres(url) }))

const withPart = (url: string, change: (parts: URL) => void) => {
  const parts = new URL(url)
  change(parts)
  return parts.href
}

describe("a server on PostgreSQL", () => {
  it.live("keeps runs in the schema that it is told, from one start to the next, beside another server", () =>
    Effect.gen(function* () {
      const url = yield* Postgres.emptyDatabase
      const store = KagziServer.postgres(url, { schema: "mine", poolSize: 3 })
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(start({ store: Layer.fresh(store) }), scope)
      const second = yield* start({ store: Layer.fresh(store) })
      const { runId } = yield* Effect.promise(() => workflows(first).startWorkflow(run))
      const get = (address: string) =>
        Effect.promise(() => workflows(address).getWorkflow({ namespace: "default", runId }))
      assert.strictEqual((yield* get(second)).workflow?.externalId, "e")
      yield* Scope.close(scope, Exit.void)
      const third = yield* start({ store: yield* KagziServer.fromUrl(`${url}?schema=mine`) })
      assert.strictEqual((yield* get(third)).workflow?.externalId, "e")
      assert.deepStrictEqual(yield* Postgres.query(url, "SELECT external_id FROM mine.runs"), [{ external_id: "e" }])
    })
  )

  it.live("holds no more connections than it is told", () =>
    Effect.gen(function* () {
      const url = yield* Postgres.emptyDatabase
      const address = yield* start({ store: KagziServer.postgres(url, { poolSize: 4 }) })
      const client = workflows(address)
      yield* Effect.promise(() =>
        Promise.all(
          Array.from({ length: 200 }, async (_, index) => {
            await client.startWorkflow({ ...run, externalId: `${index}` })
            await client.listWorkflows({ namespace: "default" })
          })
        )
      )
      const [row] = yield* Postgres.query(
        url,
        `SELECT count(*)::integer AS connections FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'kagzi'`
      )
      assert.isAtLeast(Number(row?.connections), 3)
      assert.isAtMost(Number(row?.connections), 4)
    })
  )

  it.live("says what is in its way, and no password", () =>
    Effect.gen(function* () {
      const url = yield* Postgres.emptyDatabase
      const { host, pathname } = new URL(url)
      const cases = [
        [withPart(url, (parts) => (parts.password = "secret1")), "password authentication failed", "StoreUnavailable"],
        [withPart(url, (parts) => (parts.pathname = "/kagzi_none")), "does not exist", "StoreUnavailable"],
        [withPart(url, (parts) => (parts.port = "1")), "ECONNREFUSED", "StoreUnavailable"],
        [`${url}?sslmode=require`, "does not support TLS", "StoreUnavailable"],
        [`${url}?password=secret2`, "password authentication failed", "StoreUnavailable"],
        [`${url}?schema=pg_mine`, "pg_mine", "StoreUnavailable"],
        [`${url}?schema=none-such`, "schema", "BadUrl"]
      ] as const
      for (const [wrong, says, reason] of cases) {
        const error = yield* startError(wrong)
        assert.deepStrictEqual([error.reason, error.message.includes(says)], [reason, true], error.message)
        assert.notMatch(error.message, /secret|password@|\n/)
        assert.notMatch(JSON.stringify(error.cause), /secret|password@/)
        if (reason === "StoreUnavailable" && says !== "does not exist" && says !== "ECONNREFUSED") {
          assert.include(error.message, `postgres://${host}${pathname}`)
        }
      }
    })
  )

  it.live("starts by the command line, which says what is in its way in one line", () =>
    Effect.gen(function* () {
      const url = yield* Postgres.emptyDatabase
      const serve = (url: string) =>
        Process.start("src/cli/main.ts", { args: ["server", "--port", "0"], environment: { KAGZI_DB_URL: url } })
      const server = yield* serve(url.replace("postgres:", "postgresql:"))
      yield* server.line(/^kagzi server listening on (.+)$/)
      yield* server.signal("SIGTERM")
      assert.strictEqual(yield* server.ended, 0)
      const wrong = withPart(url, (parts) => {
        parts.password = "secret"
      })
      const refused = yield* serve(wrong)
      assert.strictEqual(yield* refused.ended, 1)
      assert.match(refused.complaints(), /^kagzi: postgres:\/\/[^@\n]+: password authentication failed[^\n]+\n$/)
    })
  )
})
