/** What the tests start, and what their workers execute. The folder of the ledger is part of every input. */
import { existsSync } from "node:fs"
import { Effect, Schema } from "effect"
import { KagziError, RetryPolicy, Step, Workflow } from "../../../src/index.ts"
import { append, gatePath } from "./ledger.ts"

const taskQueue = "faults"

/** Five steps, one of which fails once, and a sleep. */
export const Sum = Workflow.make("sum", {
  taskQueue,
  input: Schema.Struct({ folder: Schema.String, number: Schema.Finite }),
  output: Schema.Finite
})

/** A step that waits for the gate, between two others. */
export const Gated = Workflow.make("gated", {
  taskQueue,
  input: Schema.Struct({
    folder: Schema.String,
    /** Whether the step holds its process up, so that nothing else happens there before it ends. */
    blocking: Schema.Boolean,
    /** How long the run sleeps after it; 0 is not at all. */
    sleepMillis: Schema.Finite
  }),
  output: Schema.Array(Schema.String)
})

/** A sleep between two steps. */
export const Nap = Workflow.make("nap", {
  taskQueue,
  input: Schema.Struct({ folder: Schema.String, sleepMillis: Schema.Finite }),
  output: Schema.Array(Schema.String)
})

/** One step that waits for the gate and then takes a moment, in two types of workflow. */
const inFolder = { taskQueue, input: Schema.Struct({ folder: Schema.String }), output: Schema.String }
export const Brief = Workflow.make("brief", inFolder)
export const Rare = Workflow.make("rare", inFolder)

/** The same on a queue of its own. */
export const elsewhere = (queue: number) =>
  Workflow.make(`brief-${queue}`, { ...inFolder, taskQueue: `${taskQueue}-${queue}` })

/** A run whose input and output are as large as its text. */
export const Echo = Workflow.make("echo", {
  taskQueue,
  input: Schema.Struct({ folder: Schema.String, text: Schema.String }),
  output: Schema.String
})

/** Puts down that the code of a step began and ended. */
const noted = <A, E, R>(folder: string, code: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const { attempt, name: step, runId: run } = yield* Step.info
    append(folder, { deed: "executed", run, step, attempt })
    const result = yield* code
    append(folder, { deed: "left", run, step, attempt })
    return result
  })

/** Puts down, in the body, that the record of a step has reached it. */
const acknowledged = (folder: string, step: string) =>
  Effect.map(Workflow.info, ({ runId: run }) => append(folder, { deed: "acknowledged", run, step, attempt: 0 }))

const twice = RetryPolicy.fixed("5 millis", { maximumAttempts: 2 })

const SumLive = Sum.implement(
  Effect.fn(function* ({ folder, number }) {
    let sum = 0
    for (const place of [1, 2, 3, 4, 5]) {
      const name = `step-${place}`
      const code = Effect.gen(function* () {
        const { attempt } = yield* Step.info
        yield* Effect.sleep("3 millis")
        if (place === 2 && attempt === 1) {
          return yield* KagziError.make("Unavailable", "the first attempt of this step fails")
        }
        return number * 10 ** place
      })
      sum += yield* Step.run(name, noted(folder, code), { retry: twice })
      yield* acknowledged(folder, name)
      if (place === 3) yield* Workflow.sleep("20 millis")
    }
    return sum
  })
)

const isOpen = (folder: string) => existsSync(gatePath(folder))

const wait = (folder: string) =>
  Effect.gen(function* () {
    while (!isOpen(folder)) yield* Effect.sleep("5 millis")
  })

const block = (folder: string) =>
  Effect.sync(() => {
    const nothing = new Int32Array(new SharedArrayBuffer(4))
    while (!isOpen(folder)) Atomics.wait(nothing, 0, 0, 5)
  })

const named = (folder: string, name: string) => Step.run(name, noted(folder, Effect.succeed(name)))

const GatedLive = Gated.implement(
  Effect.fn(function* ({ blocking, folder, sleepMillis }) {
    const before = yield* named(folder, "before")
    const gated = yield* Step.run("gated", noted(folder, Effect.as(blocking ? block(folder) : wait(folder), "gated")))
    yield* acknowledged(folder, "gated")
    if (sleepMillis > 0) yield* Workflow.sleep(sleepMillis)
    return [before, gated, yield* named(folder, "after")]
  })
)

const NapLive = Nap.implement(
  Effect.fn(function* ({ folder, sleepMillis }) {
    const before = yield* named(folder, "before")
    yield* Workflow.sleep(sleepMillis)
    return [before, yield* named(folder, "after")]
  })
)

const moment = (folder: string, name: string) =>
  Step.run(name, noted(folder, wait(folder).pipe(Effect.andThen(Effect.sleep("3 millis")), Effect.as(name))))

const BriefLive = Brief.implement(({ folder }) => moment(folder, "brief"))
const RareLive = Rare.implement(({ folder }) => moment(folder, "rare"))

const EchoLive = Echo.implement(({ folder, text }) => Effect.as(moment(folder, "echo"), text))

/** Of every workflow, and of those on so many queues more. */
export const implementations = (queues: number) =>
  [
    SumLive,
    GatedLive,
    NapLive,
    BriefLive,
    RareLive,
    EchoLive,
    ...Array.from({ length: queues }, (_, queue) => {
      const definition = elsewhere(queue)
      return definition.implement(({ folder }) => moment(folder, definition.name))
    })
  ] as const
