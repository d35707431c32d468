import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Schedule } from "effect"
import { KagziClient, RetryPolicy, Worker, Workflow } from "../../src/index.ts"
import { client } from "../support/harness.ts"

const Order = Workflow.make("order", { taskQueue: "orders" })
const Parcel = Workflow.make("parcel", { taskQueue: "parcels" })
const OrderLive = Order.implement(() => Effect.void)
const ParcelLive = Parcel.implement(() => Effect.void)

/** The workers that the server knows in a namespace, when there are that many. */
const workersIn = (namespace: string, count: number) =>
  KagziClient.use(({ protocol }) => protocol.listWorkers({ namespace }, { size: 10 })).pipe(
    Effect.map(({ items }) => items),
    Effect.repeat({ until: (items) => items.length === count, schedule: Schedule.spaced("5 millis") })
  )

describe("a worker", () => {
  it.live("is registered as its options say, on its own queue and those of its workflows", () =>
    Effect.gen(function* () {
      const worker = yield* Worker.make({
        taskQueue: "orders",
        workflows: [OrderLive, ParcelLive],
        namespace: "production",
        hostname: "machine-7",
        version: "1.4.0",
        labels: { region: "eu" },
        queueConcurrencyLimit: 100,
        workflowTypeConcurrency: { order: 20 },
        gracePeriod: 0
      })
      yield* Effect.forkScoped(worker.run)
      const known = yield* workersIn("production", 2)
      assert.deepStrictEqual(known.map(({ taskQueue }) => taskQueue).toSorted(), ["orders", "parcels"])
      for (const { hostname, labels, status, version, workflowTypeConcurrency, workflowTypes } of known) {
        assert.deepStrictEqual(
          { hostname, labels, status, version, workflowTypeConcurrency, workflowTypes },
          {
            hostname: "machine-7",
            labels: { region: "eu" },
            status: "ONLINE",
            version: "1.4.0",
            workflowTypeConcurrency: { order: 20 },
            workflowTypes: ["order", "parcel"]
          }
        )
      }
      const own = known.find(({ taskQueue }) => taskQueue === "orders")
      assert.strictEqual(own?.queueConcurrencyLimit, 100)
      assert.strictEqual(known.find((other) => other !== own)?.queueConcurrencyLimit, undefined)
      assert.deepStrictEqual(yield* worker.workerId, Option.some(own!.workerId))
    }).pipe(Effect.provide(client))
  )

  it.live("takes this machine's name and the client's namespace when it is told no other", () =>
    Effect.gen(function* () {
      yield* Effect.forkScoped(Worker.run({ taskQueue: "orders", workflows: [OrderLive], gracePeriod: 0 }))
      const [known] = yield* workersIn("default", 1)
      assert.isNotEmpty(known?.hostname)
      assert.strictEqual(known?.pid, process.pid)
    }).pipe(Effect.provide(client))
  )

  const wrong: ReadonlyArray<
    readonly [says: string, options: Partial<Worker.Options<Workflow.Implementation<never>>>]
  > = [
    ["workflows: at least one is needed", { workflows: [] as never }],
    ['workflows: "order" is there twice', { workflows: [OrderLive, OrderLive] }],
    ["taskQueue: must not be empty", { taskQueue: "" }],
    ["maxConcurrent: must be a whole number above 0", { maxConcurrent: 0 }],
    ["queueConcurrencyLimit: must be a whole number above 0", { queueConcurrencyLimit: 1.5 }],
    ['workflowTypeConcurrency["order"]: must be a whole number above 0', { workflowTypeConcurrency: { order: -1 } }],
    ["defaultStepRetry: backoffCoefficient", { defaultStepRetry: RetryPolicy.make({ backoffCoefficient: 0.5 }) }]
  ]

  it.effect.each(wrong)("is refused when its options make no sense: %s", ([says, options]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.scoped(Worker.make({ taskQueue: "orders", workflows: [OrderLive], ...options }))
      )
      assert.strictEqual(error._tag, "InvalidArgument")
      assert.include(error.message, says)
    }).pipe(Effect.provide(client))
  )
})
