/** What operators see through a client of a real server. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { KagziClient, Run } from "../../src/index.ts"
import { client } from "../support/harness.ts"

const start = (namespace: string, externalId: string) =>
  KagziClient.use(({ protocol }) =>
    protocol.start({
      ...{ namespace, externalId, taskQueue: "orders", workflowType: "order", version: "" },
      ...{ input: Run.nothing, ifExists: "use-active" as const }
    })
  )

describe("a client for operators", () => {
  it.effect("makes namespaces, lists them by name, and switches them off and on", () =>
    Effect.gen(function* () {
      const { namespaces } = yield* KagziClient
      const made = yield* namespaces.create("shop", { displayName: "The Shop" })
      assert.deepInclude(made, { name: "shop", displayName: "The Shop", description: "", enabled: true })
      assert.instanceOf(made.createdAt, Date)
      for (let n = 0; n < 120; n++) yield* namespaces.create(`n-${String(n).padStart(3, "0")}`)
      const names = (yield* Stream.runCollect(namespaces.list)).map(({ name }) => name)
      assert.lengthOf(names, 122)
      assert.deepStrictEqual(names, [...new Set(names)].sort())
      assert.strictEqual((yield* namespaces.update("shop", { description: "d" })).displayName, "The Shop")
      assert.isFalse((yield* namespaces.disable("shop")).enabled)
      assert.strictEqual((yield* Effect.flip(start("shop", "a")))._tag, "PreconditionFailed")
      yield* namespaces.enable("shop")
      yield* start("shop", "a")
      assert.strictEqual((yield* Effect.flip(namespaces.create("shop")))._tag, "Conflict")
      assert.strictEqual((yield* Effect.flip(namespaces.get("none")))._tag, "NotFound")
    }).pipe(Effect.provide(client))
  )

  it.effect("counts in its own namespace, in another, or in all", () =>
    Effect.gen(function* () {
      const { admin } = yield* KagziClient
      yield* start("default", "a")
      yield* start("default", "b")
      yield* start("shop", "c")
      assert.strictEqual((yield* admin.stats()).runs, 2)
      assert.strictEqual((yield* admin.stats({ namespace: "shop" })).runs, 1)
      assert.strictEqual((yield* admin.stats({ allNamespaces: true })).runs, 3)
      assert.deepInclude(yield* admin.queueDepth({ taskQueue: "orders" }), { pending: 2, running: 0, sleeping: 0 })
      assert.deepStrictEqual((yield* admin.queueDepth({ namespace: "shop" })).byQueue, { orders: 1 })
      const types = yield* Stream.runCollect(admin.workflowTypes())
      assert.deepStrictEqual(types, [{ workflowType: "order", runs: 2, activeRuns: 2, taskQueues: ["orders"] }])
    }).pipe(Effect.provide(client))
  )

  it.effect("sees workers, and drains one", () =>
    Effect.gen(function* () {
      const { admin, protocol } = yield* KagziClient
      const link = yield* protocol.connect({
        ...{ namespace: "default", taskQueue: "orders", workflowTypes: ["order"], hostname: "h", pid: 1 },
        ...{ instanceId: "", version: "1", labels: {}, workflowTypeConcurrency: { order: 3 }, held: () => [] }
      })
      const [worker] = yield* Stream.runCollect(admin.workers({ taskQueue: "orders" }))
      assert.deepStrictEqual(worker, yield* admin.worker(link.workerId))
      assert.deepInclude(worker, { status: "ONLINE", workflowTypeConcurrency: { order: 3 }, activeRuns: 0 })
      assert.isUndefined(worker?.queueConcurrencyLimit)
      assert.instanceOf(worker?.lastHeartbeatAt, Date)
      yield* admin.drain(link.workerId)
      assert.lengthOf(yield* Stream.runCollect(admin.workers({ status: "DRAINING" })), 1)
      assert.lengthOf(yield* Stream.runCollect(admin.workers({ status: "ONLINE" })), 0)
      assert.lengthOf(yield* Stream.runCollect(admin.workers({ namespace: "other" })), 0)
    }).pipe(Effect.scoped, Effect.provide(client))
  )
})
