/** What must compile, with the types it must have. `tsc` is the test: nothing here runs. */
import { Context, DateTime, Effect, Schedule, Schema, type Stream } from "effect"
import { KagziClient, KagziError, RetryPolicy, type Run, Schedules, Step, Worker, Workflow } from "../../src/index.ts"

type Equals<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
/** Compiles when the two types are the same. */
const same = <A, B>(_: Equals<A, B>): void => undefined
type Requires<I> = Workflow.Implementation.Services<I>

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { sku: Schema.String }) {}
class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", { reason: Schema.String }) {}

interface OrderInput {
  readonly orderId: string
  readonly customerId: string
  readonly amount: number
}
class Payments extends Context.Service<
  Payments,
  { readonly charge: (order: OrderInput) => Effect.Effect<string, CardDeclined> }
>()("test/Payments") {}
class Invoices extends Context.Service<
  Invoices,
  { readonly create: (paymentId: string) => Effect.Effect<string, OutOfStock | KagziError> }
>()("test/Invoices") {}

// ---------------------------------------------------------------------------------------------------------------
// The order of the documentation
// ---------------------------------------------------------------------------------------------------------------

const validate = (order: OrderInput): Effect.Effect<boolean, KagziError> =>
  order.amount > 0 ? Effect.succeed(true) : Effect.fail(KagziError.nonRetryable("Invalid amount"))
const payments = { charge: (order: OrderInput) => Payments.use((service) => service.charge(order)) }
const invoices = { create: (paymentId: string) => Invoices.use((service) => service.create(paymentId)) }

export const ProcessOrder = Workflow.make("process-order", {
  taskQueue: "orders",
  input: Schema.Struct({ orderId: Schema.String, customerId: Schema.String, amount: Schema.Finite }),
  output: Schema.Struct({ orderId: Schema.String, status: Schema.String, invoiceId: Schema.String }),
  error: Schema.Union([OutOfStock, CardDeclined])
})

export const ProcessOrderLive = ProcessOrder.implement(
  Effect.fn(function* (input) {
    yield* Step.run("validate-order", validate(input), { input })
    const paymentId = yield* Step.run("process-payment", payments.charge(input), {
      output: Schema.String,
      error: CardDeclined,
      retry: RetryPolicy.exponential({ maximumAttempts: 5, initialInterval: "500 millis" })
    })
    yield* Workflow.sleep("30 seconds")
    yield* Effect.sleep("30 seconds")
    const invoiceId = yield* Step.run("generate-invoice", invoices.create(paymentId), { error: OutOfStock })
    return { orderId: input.orderId, status: "completed", invoiceId }
  })
)
same<Requires<typeof ProcessOrderLive>, Payments | Invoices>(true)

// ---------------------------------------------------------------------------------------------------------------
// Starting, and what becomes of a run
// ---------------------------------------------------------------------------------------------------------------

type OrderOutput = { readonly orderId: string; readonly status: string; readonly invoiceId: string }
type OrderError = OutOfStock | CardDeclined
type Ended =
  | OrderError
  | Workflow.WorkflowFailed
  | Workflow.WorkflowCancelled
  | Workflow.WorkflowTerminated
  | KagziError

const order: OrderInput = { orderId: "1", customerId: "2", amount: 3 }
const started = ProcessOrder.start(order, {
  id: "order-1",
  namespace: "production",
  version: "2",
  retryPolicy: RetryPolicy.fixed("1 second"),
  retries: 3,
  ifExists: "reject"
})
same<typeof started, Effect.Effect<Workflow.Handle<OrderOutput, OrderError>, KagziError, KagziClient>>(true)
const executed = ProcessOrder.execute(order)
same<typeof executed, Effect.Effect<OrderOutput, Ended, KagziClient>>(true)

export const following = Effect.gen(function* () {
  const run = yield* started
  same<typeof run.result, Effect.Effect<OrderOutput, Ended>>(true)
  same<typeof run.runId, string>(true)
  same<typeof run.alreadyExists, boolean>(true)
  same<typeof run.status, Effect.Effect<Run.Status, KagziError>>(true)
  same<typeof run.describe, Effect.Effect<Run.Description, KagziError>>(true)
  same<typeof run.steps, Effect.Effect<ReadonlyArray<Run.StepDescription>, KagziError>>(true)
  yield* run.cancel
  yield* run.terminate("no longer wanted")
  const again = yield* run.retry
  same<typeof again, typeof run>(true)
  const known = yield* ProcessOrder.handle("id")
  same<typeof known, typeof run>(true)
  const found = yield* ProcessOrder.byId("order-1")
  same<typeof found, typeof run>(true)
  return yield* run.result.pipe(
    Effect.catchTag("OutOfStock", ({ sku }) => Effect.succeed(sku)),
    Effect.catchTag("CardDeclined", ({ reason }) => Effect.succeed(reason)),
    Effect.catchTag("WorkflowFailed", ({ error, runId }) => Effect.succeed(`${runId} ${error._tag}`)),
    Effect.catchTag("WorkflowTerminated", ({ reason }) => Effect.succeed(reason)),
    Effect.catchTag("WorkflowCancelled", ({ runId }) => Effect.succeed(runId)),
    Effect.catchTag("Unavailable", (error: KagziError.Unavailable) => Effect.succeed(error.message))
  )
})

// A workflow without input, output and error.
export const Tick = Workflow.make("tick")
export const TickLive = Tick.implement(() => Step.run("tick", Effect.void))
// Without an output, what the body gives is dropped.
export const TickDropping = Tick.implement(() => Effect.succeed("dropped"))
export const ticked: Effect.Effect<void, Workflow.ResultError, KagziClient> = Tick.execute()
export const tickedAs = Tick.start(undefined, { id: "tick" })
same<Requires<typeof TickLive>, never>(true)

// ---------------------------------------------------------------------------------------------------------------
// Bodies
// ---------------------------------------------------------------------------------------------------------------

const Choice = Workflow.make("choice", {
  input: Schema.Struct({ n: Schema.Number }),
  output: Schema.Struct({ status: Schema.Literals(["ok", "bad"]) }),
  error: OutOfStock
})

// Whatever way the body is written, its input is known, and literals keep their type.
export const bodies = [
  Choice.implement(
    Effect.fn(function* (input) {
      yield* Step.run("n", Effect.succeed(input.n))
      return { status: "ok" }
    })
  ),
  Choice.implement(
    Effect.fn("choice")(function* ({ n }) {
      yield* Effect.yieldNow
      return { status: n.toFixed() === "1" ? "ok" : "bad" }
    })
  ),
  Choice.implement(
    Effect.fnUntraced(function* ({ n }) {
      yield* new OutOfStock({ sku: n.toFixed() })
      return { status: "ok" }
    })
  ),
  Choice.implement(({ n }) =>
    Effect.gen(function* () {
      yield* Workflow.sleep("wait", n)
      return { status: "ok" }
    })
  ),
  Choice.implement(({ n }) => Effect.map(Step.run("n", Effect.succeed(n)), () => ({ status: "ok" }))),
  Choice.implement(() => Effect.succeed({ status: "ok" })),
  Choice.implement(({ n }) =>
    n > 0 ? Effect.fail(KagziError.make("Conflict", "no")) : Effect.succeed({ status: "ok" })
  )
]

export const WithServices = Choice.implement(
  Effect.fn(function* () {
    const both = yield* Workflow.all(
      [
        Step.run(
          "a",
          Payments.use(() => Effect.succeed(1))
        ),
        Step.run("b", Effect.succeed("b"))
      ],
      {
        concurrency: "unbounded"
      }
    )
    same<typeof both, [number, string]>(true)
    const named = yield* Workflow.all({ a: Step.run("c", Effect.succeed(1)), b: Workflow.uuid })
    same<typeof named, { a: number; b: string }>(true)
    const each = yield* Workflow.forEach(
      [1, 2],
      (n) =>
        Step.run(
          "d",
          Invoices.use(() => Effect.succeed(n))
        ),
      {
        key: (n) => n,
        concurrency: 2
      }
    )
    same<typeof each, Array<number>>(true)
    const first = yield* Workflow.race(Step.run("e", Effect.succeed(1)), Effect.as(Workflow.sleep("1 hour"), "late"))
    same<typeof first, number | string>(true)
    const inTime = Workflow.timeout(Step.run("f", Effect.succeed(1)), "1 hour")
    same<typeof inTime, Effect.Effect<number, KagziError.Timeout, Workflow.WorkflowRun>>(true)
    yield* Step.run("g", Effect.succeed(1)).pipe(Workflow.timeout("1 hour"))
    yield* Workflow.sleepUntil(new Date(0))
    yield* Workflow.sleepUntil("until", DateTime.makeUnsafe(0))
    const now: DateTime.Utc = yield* Workflow.now
    const { runId } = yield* Workflow.info
    yield* Step.run("poll", Effect.succeed(DateTime.toEpochMillis(now))).pipe(
      Effect.ignore,
      Effect.repeat(Schedule.spaced("1 hour")),
      Effect.forkChild
    )
    return { status: runId === "" ? "bad" : "ok" }
  })
)

// ---------------------------------------------------------------------------------------------------------------
// Steps
// ---------------------------------------------------------------------------------------------------------------

interface Tree {
  readonly value: number
  readonly children: ReadonlyArray<Tree>
  readonly note?: string | undefined
}
declare const tree: Tree

const plain = Step.run("plain", Effect.succeed(tree), { input: tree, key: "k" })
same<typeof plain, Effect.Effect<Tree, never, Workflow.WorkflowRun>>(true)
const piped = Payments.use((service) => service.charge(order)).pipe(Step.run("piped", { error: CardDeclined }))
same<typeof piped, Effect.Effect<string, CardDeclined, Workflow.WorkflowRun | Step.InStep<Payments>>>(true)
const dated = Step.run("dated", Effect.succeed(new Date(0)), { output: Schema.Date, timeout: "1 minute" })
same<typeof dated, Effect.Effect<Date, KagziError.Timeout, Workflow.WorkflowRun>>(true)
const many = Step.forEach(
  "many",
  ["a", "b"],
  Effect.fn(function* (item, index) {
    const service = yield* Payments
    return `${yield* service.charge(order)}${item}${index}`
  }),
  { error: CardDeclined, concurrency: "unbounded", key: (item) => item, input: (item) => item }
)
same<typeof many, Effect.Effect<Array<string>, CardDeclined, Workflow.WorkflowRun | Step.InStep<Payments>>>(true)

export const results = [
  Step.run("void", Effect.void),
  Step.run("null", Effect.succeed(null as string | null)),
  Step.run("tuple", Effect.succeed(["a", 1] as const)),
  Step.run("record", Effect.succeed({} as Record<string, ReadonlyArray<boolean>>)),
  Step.run("never", Effect.never),
  Step.run(
    "branded",
    Effect.succeed("id").pipe(Effect.flatMap(Schema.decodeEffect(Schema.String.pipe(Schema.brand("Id")))), Effect.orDie)
  ),
  Step.run("scoped", Effect.scoped(Effect.as(Effect.scope, 1)))
]

// ---------------------------------------------------------------------------------------------------------------
// Workers and clients
// ---------------------------------------------------------------------------------------------------------------

const working = Worker.run({ taskQueue: "orders", workflows: [ProcessOrderLive, WithServices, TickLive] })
same<typeof working, Effect.Effect<never, KagziError, KagziClient | Payments | Invoices>>(true)
const idle = Worker.run({ taskQueue: "ticks", workflows: [TickLive] })
same<typeof idle, Effect.Effect<never, KagziError, KagziClient>>(true)

export const client = Effect.gen(function* () {
  const { workflows } = yield* KagziClient
  const runs: Stream.Stream<Run.Description, KagziError> = workflows.list({
    status: "FAILED",
    createdAfter: new Date(0)
  })
  return runs
}).pipe(
  Effect.provide(KagziClient.layer({ address: "http://localhost:50051", namespace: "production", apiKey: "key" }))
)

// `KagziError` is a type, a namespace of types, and a namespace of values.
export const anyError: KagziError = KagziError.make("NotFound", "gone", { retryAfter: "1 second" })
export const notFound: KagziError.NotFound = new KagziError.NotFound({ message: "gone" })

// ---------------------------------------------------------------------------------------------------------------
// Schedules
// ---------------------------------------------------------------------------------------------------------------

export const daily = ProcessOrder.schedule({
  cron: "0 6 * * *",
  timezone: "Europe/Berlin",
  input: { orderId: "1", customerId: "2", amount: 3 },
  enabled: true,
  maxCatchup: "unlimited",
  overlap: "skip",
  version: "2"
})
same<typeof daily, Effect.Effect<Schedules.Description, KagziError, KagziClient>>(true)

// @ts-expect-error: the input is of the workflow's type
export const wrongInput = ProcessOrder.schedule({ cron: "0 6 * * *", input: { orderId: 1 } })
// @ts-expect-error: a workflow with an input has to be given one
export const withoutInput = ProcessOrder.schedule({ cron: "0 6 * * *" })
// @ts-expect-error: when it fires can't be left out
export const withoutCron = Workflow.make("nightly").schedule({ timezone: "UTC" })
// @ts-expect-error: there is no such policy
export const withoutPolicy = Workflow.make("nightly").schedule({ cron: "0 6 * * *", overlap: "queue" })
/** Only where nothing is the input may it be left out. */
export const nightly = Workflow.make("nightly").schedule({ cron: "0 6 * * *" })

export const removed = Schedules.delete("id")
same<typeof removed, Effect.Effect<void, KagziError, KagziClient>>(true)
