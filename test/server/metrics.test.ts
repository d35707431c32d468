/** What a server counts, as Prometheus reads it from the one port. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Metric, References } from "effect"
import { KagziClient, KagziError, RetryPolicy, Step, Workflow } from "../../src/index.ts"
import { KagziServer } from "../../src/server/index.ts"
import { withWorker } from "../support/harness.ts"
import * as Stores from "../support/stores.ts"

const Counted = Workflow.make("counted", { taskQueue: "counted" })

/** Two steps, of which the first fails once, and a sleep. */
const CountedLive = Counted.implement(() =>
  Effect.gen(function* () {
    yield* Step.run(
      "first",
      Effect.gen(function* () {
        const { attempt } = yield* Step.info
        if (attempt === 1) return yield* new KagziError.Unavailable({ message: "not yet" })
      }),
      { retry: RetryPolicy.fixed("1 milli", { maximumAttempts: 2 }) }
    )
    yield* Workflow.sleep("nap", "20 millis")
    yield* Step.run("second", Effect.void)
  })
)

const Hopeless = Workflow.make("hopeless", { taskQueue: "counted" })

/** A server on a port of its own, with its metrics apart from those of other tests. */
const server = Layer.effectContext(
  Effect.gen(function* () {
    const context = yield* Layer.build(
      Layer.fresh(KagziServer.layer({ port: 0, store: Stores.serverStore, heartbeatInterval: "1 second" }))
    )
    const { address } = Context.get(context, KagziServer.KagziServer)
    return Context.merge(context, yield* Layer.build(KagziClient.layer({ address })))
  })
).pipe(
  Layer.provide(Layer.succeed(Metric.MetricRegistry, new Map())),
  Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "Error"))
)

/** The samples of a scrape, by name and labels. */
const scrape = Effect.gen(function* () {
  const { address } = yield* KagziServer.KagziServer
  const response = yield* Effect.promise(() => fetch(`${address}/metrics`))
  assert.strictEqual(response.status, 200)
  assert.strictEqual(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8")
  const text = yield* Effect.promise(() => response.text())
  const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"))
  const values = new Map(samples.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]))
  return { text, value: (name: string) => values.get(name) }
})

const of = (name: string, type: string, more = "") => `${name}{namespace="default",workflow_type="${type}"${more}}`

describe("GET /metrics", () => {
  it.live("counts runs, attempts and claims as they were", () =>
    Effect.gen(function* () {
      yield* withWorker(CountedLive)(
        Effect.forEach([1, 2, 3], () => Counted.execute(undefined), { concurrency: "unbounded" })
      )
      const cancelled = yield* Hopeless.start(undefined)
      yield* cancelled.cancel
      yield* (yield* Hopeless.start(undefined)).terminate("no hope")
      yield* Hopeless.start(undefined)
      const again = { id: "twice" }
      yield* Hopeless.start(undefined, again)
      yield* Hopeless.start(undefined, again)

      const { text, value } = yield* scrape
      assert.strictEqual(value(of("kagzi_runs_started_total", "counted")), 3)
      assert.strictEqual(value(of("kagzi_runs_completed_total", "counted")), 3)
      assert.isUndefined(value(of("kagzi_runs_failed_total", "counted")))
      assert.strictEqual(value(of("kagzi_runs_started_total", "hopeless")), 4)
      assert.strictEqual(value(of("kagzi_runs_cancelled_total", "hopeless")), 1)
      assert.strictEqual(value(of("kagzi_runs_failed_total", "hopeless")), 1)
      assert.strictEqual(value(of("kagzi_runs_active", "hopeless", ',status="pending"')), 2)
      assert.strictEqual(value('kagzi_queue_depth{namespace="default",task_queue="counted"}'), 2)
      assert.strictEqual(value('kagzi_step_duration_seconds_count{outcome="completed"}'), 6)
      assert.strictEqual(value('kagzi_step_duration_seconds_count{outcome="failed"}'), 3)
      assert.strictEqual(value("kagzi_timer_lateness_seconds_count"), 3)
      assert.isAtMost(value("kagzi_timer_lateness_seconds_sum")!, 60)
      // Each run was claimed anew after it slept, at least where its worker let it go.
      assert.isAtLeast(value("kagzi_claim_latency_seconds_count")!, 3)
      assert.isAtLeast(value("kagzi_commit_batch_size_count")!, 20)
      assert.isAtLeast(value("kagzi_commit_batch_size_sum")!, value("kagzi_commit_batch_size_count")!)
      assert.include(text, "# TYPE kagzi_runs_started_total counter")
      assert.include(text, "# TYPE kagzi_claim_latency_seconds histogram")
    }).pipe(Effect.provide(server))
  )

  it.live("shows a queue that has emptied as empty", () =>
    Effect.gen(function* () {
      const depth = 'kagzi_queue_depth{namespace="default",task_queue="counted"}'
      const waiting = yield* Hopeless.start(undefined)
      assert.strictEqual((yield* scrape).value(depth), 1)
      yield* waiting.cancel
      const { value } = yield* scrape
      assert.strictEqual(value(depth), 0)
      assert.strictEqual(value(of("kagzi_runs_active", "hopeless", ',status="pending"')), 0)
    }).pipe(Effect.provide(server))
  )
})
