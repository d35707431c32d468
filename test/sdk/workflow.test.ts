import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as KagziError from "../../src/KagziError.ts"
import type { StartRequest } from "../../src/protocol/Protocol.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import * as Workflow from "../../src/Workflow.ts"
import { tagMark } from "../../src/marks.ts"
import { valueMark } from "../../src/worker/TypedFailure.ts"
import { client, makeRun, payload, text } from "./support.ts"

class Declined extends Schema.TaggedError<Declined>()("Declined", { reason: Schema.String }) {}

const Order = Workflow.make("order", {
  taskQueue: "orders",
  version: "7",
  input: Schema.Struct({ id: Schema.String, due: Schema.Date }),
  output: Schema.Struct({ total: Schema.Number.pipe(Schema.check(Schema.isGreaterThan(0))) }),
  error: Declined
})

const input = { id: "a", due: new Date(0) }

/** Starts with a client that keeps what it sends. */
const start = <A, E>(effect: Effect.Effect<A, E, import("../../src/KagziClient.ts").KagziClient>) =>
  Effect.gen(function* () {
    const sent: Array<StartRequest> = []
    const layer = client({
      start: (request) =>
        Effect.sync(() => {
          sent.push(request)
          return { runId: "run", alreadyExists: false }
        })
    })
    const result = yield* Effect.result(Effect.provide(effect, layer))
    return { sent, result }
  })

describe("starting a workflow", () => {
  it.effect("sends what its definition and the options say", () =>
    Effect.gen(function* () {
      const { sent } = yield* start(
        Order.start(input, {
          id: "mine",
          namespace: "production",
          retryPolicy: RetryPolicy.fixed("1 second", { maximumAttempts: 9 }),
          retries: 3,
          ifExists: "reject"
        })
      )
      const { input: data, ...request } = sent[0]!
      assert.strictEqual(text(data), '{"id":"a","due":"1970-01-01T00:00:00.000Z"}')
      assert.deepStrictEqual(request, {
        namespace: "production",
        externalId: "mine",
        taskQueue: "orders",
        workflowType: "order",
        version: "7",
        ifExists: "reject",
        retryPolicy: RetryPolicy.fixed("1 second", { maximumAttempts: 3 })
      })
    })
  )

  it.effect("needs nothing but a name", () =>
    Effect.gen(function* () {
      const Tick = Workflow.make("tick")
      const { sent } = yield* start(Effect.andThen(Tick.start(), Tick.start()))
      const [{ externalId: first, input: data, ...request }, { externalId: second }] = sent as [
        StartRequest,
        StartRequest
      ]
      assert.match(first, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      assert.notStrictEqual(first, second)
      assert.strictEqual(text(data), "null")
      assert.deepStrictEqual(request, {
        namespace: "default",
        taskQueue: "tick",
        workflowType: "tick",
        version: "",
        ifExists: "use-active"
      })
    })
  )

  it.effect.each([
    [
      "an input that does not fit its schema",
      Order.start({ id: 1, due: new Date(0) } as never),
      'The input does not fit the schema of workflow "order": Expected string\n  at ["id"]'
    ],
    [
      "an invalid policy",
      Order.start(input, {
        retryPolicy: RetryPolicy.make({ initialInterval: "2 seconds", maximumInterval: "1 second" })
      }),
      "Invalid retry policy: initialInterval: must not be above maximumInterval"
    ],
    ["a negative number of attempts", Order.start(input, { retries: -1 }), "Invalid retry policy: maximumAttempts"]
  ] as const)("refuses %s before anything is sent", ([, effect, message]) =>
    Effect.gen(function* () {
      const { result, sent } = yield* start(effect)
      assert.deepStrictEqual(sent, [])
      const error = result._tag === "Failure" ? result.failure : undefined
      assert.isTrue(error instanceof KagziError.InvalidArgument)
      assert.include(error?.message, message)
    })
  )
})

describe("an implementation", () => {
  const run = (implementation: Workflow.Implementation<never>, value: unknown) =>
    Effect.provide(Effect.result(implementation.run(payload(value))), makeRun().layer)

  const encoded = { id: "a", due: "1970-01-01T00:00:00.000Z" }

  it.effect("takes and gives payloads", () =>
    Effect.gen(function* () {
      const live = Order.implement(({ due }) => Effect.succeed({ total: due.getTime() + 1 }))
      const result = yield* run(live, encoded)
      assert.strictEqual(result._tag === "Success" && text(result.success), '{"total":1}')
      assert.deepStrictEqual(live.definition, { name: "order", taskQueue: "orders", version: "7" })
    })
  )

  it.effect("fails for good when its input does not fit, without executing the body", () =>
    Effect.gen(function* () {
      let executed = false
      const live = Order.implement(() =>
        Effect.sync(() => {
          executed = true
          return { total: 1 }
        })
      )
      const result = yield* run(live, { id: "a" })
      const detail = result._tag === "Failure" ? result.failure : undefined
      assert.strictEqual(detail?.code, "InvalidArgument")
      assert.isTrue(detail?.nonRetryable)
      assert.include(detail?.message, '["due"]')
      assert.isFalse(executed)
    })
  )

  it.effect("fails for good when its output does not fit", () =>
    Effect.gen(function* () {
      const result = yield* run(
        Order.implement(() => Effect.succeed({ total: -1 })),
        encoded
      )
      const detail = result._tag === "Failure" ? result.failure : undefined
      assert.strictEqual(detail?.code, "InvalidArgument")
      assert.isTrue(detail?.nonRetryable)
      assert.include(detail?.message, 'The output does not fit the schema of workflow "order"')
      assert.include(detail?.message, '["total"]')
    })
  )

  it.effect("records a declared failure with its value, for good", () =>
    Effect.gen(function* () {
      const result = yield* run(
        Order.implement(() => Effect.fail(new Declined({ reason: "expired" }))),
        encoded
      )
      const detail = result._tag === "Failure" ? result.failure : undefined
      assert.isTrue(detail?.nonRetryable)
      assert.deepStrictEqual(detail?.metadata, {
        [valueMark]: '{"_tag":"Declined","reason":"expired"}',
        [tagMark]: "Declined"
      })
    })
  )

  it.effect("records an error of Kagzi as it is", () =>
    Effect.gen(function* () {
      const error = KagziError.retryAfter("busy", "2 seconds")
      const result = yield* run(
        Order.implement(() => Effect.fail(error)),
        encoded
      )
      assert.deepStrictEqual(result._tag === "Failure" && result.failure, KagziError.toDetail(error))
    })
  )
})
