/**
 * Configuration of workers: much at a time where work waits for others, little where it keeps a processor busy.
 *
 * `maxConcurrent` is a worker's own limit. `queueConcurrencyLimit` and `workflowTypeConcurrency` hold for all workers of
 * a queue together, on all machines, and protect what is behind them: the server keeps to the smallest that one declares.
 */
import { Console, Context, Effect, Layer, Ref, Schema } from "effect"
import { Step, Worker, Workflow } from "kagzi"
import { check, main } from "./support.ts"

const CallApi = Workflow.make("call-api", { taskQueue: "api-calls", output: Schema.String })
const Render = Workflow.make("render", { taskQueue: "processing", output: Schema.String })
const Encode = Workflow.make("encode", { taskQueue: "processing", output: Schema.String })

/** Knows how many of each kind of work there were at a time. */
class Gauge extends Context.Service<
  Gauge,
  {
    readonly during: <A>(kind: string, work: Effect.Effect<A>) => Effect.Effect<A>
    readonly most: (...kinds: ReadonlyArray<string>) => Effect.Effect<number>
  }
>()("worker-configuration/Gauge") {
  static readonly layer = Layer.effect(
    Gauge,
    Effect.gen(function* () {
      const samples = yield* Ref.make<ReadonlyArray<Readonly<Record<string, number>>>>([{}])
      const change = (kind: string, by: number) =>
        Ref.update(samples, (all) => [...all, { ...all.at(-1), [kind]: (all.at(-1)?.[kind] ?? 0) + by }])
      return {
        during: (kind, work) =>
          Effect.acquireUseRelease(
            change(kind, 1),
            () => work,
            () => change(kind, -1)
          ),
        most: (...kinds) =>
          Effect.map(Ref.get(samples), (all) =>
            Math.max(...all.map((sample) => kinds.reduce((sum, kind) => sum + (sample[kind] ?? 0), 0)))
          )
      }
    })
  )
}

const work = (kind: string, millis: number) =>
  Gauge.use((gauge) => gauge.during(kind, Effect.delay(Effect.succeed(`${kind} is done`), millis)))

const CallApiLive = CallApi.implement(() => Step.run("call", work("call", 500)))
const RenderLive = Render.implement(() => Step.run("render", work("render", 250)))
const EncodeLive = Encode.implement(() => Step.run("encode", work("encode", 250)))

/** I/O-bound: its runs mostly wait for others' answers, so one process holds many. */
const apiWorker = Worker.run({
  taskQueue: "api-calls",
  workflows: [CallApiLive],
  maxConcurrent: 200,
  queueConcurrencyLimit: 500
})

/** CPU-bound: one process per core and few runs in each, and no more over all machines than the licence allows. */
const processingWorker = (machine: string) =>
  Worker.run({
    taskQueue: "processing",
    workflows: [RenderLive, EncodeLive],
    maxConcurrent: 2,
    queueConcurrencyLimit: 3,
    workflowTypeConcurrency: { encode: 1 },
    hostname: machine,
    version: "1.4.0",
    labels: { region: "eu", hardware: "gpu" }
  })

const program = Effect.gen(function* () {
  yield* Effect.forEach([apiWorker, processingWorker("machine-1"), processingWorker("machine-2")], (worker) =>
    Effect.forkScoped(worker)
  )

  // 29 runs that all want to be executed now
  const many = <A, E, R>(count: number, execute: Effect.Effect<A, E, R>) =>
    Effect.all(
      Array.from({ length: count }, () => execute),
      { concurrency: "unbounded" }
    )
  yield* Effect.all([many(20, CallApi.execute()), many(6, Render.execute()), many(3, Encode.execute())], {
    concurrency: "unbounded"
  })

  const gauge = yield* Gauge
  const calls = yield* gauge.most("call")
  const processing = yield* gauge.most("render", "encode")
  const encoding = yield* gauge.most("encode")
  yield* Console.log(`at a time: ${calls} calls, ${processing} of processing, ${encoding} of encoding`)
  yield* check("one I/O-bound worker holds many runs", calls > 3)
  yield* check("two CPU-bound workers keep to the limit of their queue, and reach it", processing === 3)
  yield* check("and to the limit of a type", encoding === 1)
})

main(Effect.provide(program, Gauge.layer))
