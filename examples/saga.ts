/**
 * Saga: when a step fails for good, the steps before it are compensated by steps of their own, last first.
 *
 * The compensations are as durable as the rest: a crash in the middle of them is no way to keep the money.
 */
import { Console, Effect, Schema } from "effect"
import { RetryPolicy, Step, Worker, Workflow } from "kagzi"
import { check, main } from "./support.ts"

class NoCourier extends Schema.TaggedError<NoCourier>()("NoCourier", { city: Schema.String }) {}

const Order = Schema.Struct({ item: Schema.String, amount: Schema.Finite, city: Schema.String })

const Buy = Workflow.make("buy", { taskQueue: "orders", input: Order, output: Schema.String, error: NoCourier })

/** The world outside: what stands in its books now. */
const stock = new Set<string>(["teapot", "kettle"])
const account = { balance: 100 }

const reserve = (item: string) =>
  Effect.as(
    Effect.sync(() => stock.delete(item)),
    item
  )
const release = (item: string) => Effect.asVoid(Effect.sync(() => stock.add(item)))
const pay = (amount: number) =>
  Effect.sync(() => {
    account.balance -= amount
    return { paymentId: "payment-1", amount }
  })
const refund = (payment: { readonly amount: number }) =>
  Effect.sync(() => {
    account.balance += payment.amount
  })
const bookCourier = (city: string) =>
  city === "Atlantis" ? Effect.fail(new NoCourier({ city })) : Effect.succeed(`courier to ${city}`)

const BuyLive = Buy.implement(
  Effect.fn(function* ({ amount, city, item }) {
    const reservation = yield* Step.run("reserve-inventory", reserve(item))

    const payAndShip = Effect.gen(function* () {
      const payment = yield* Step.run("process-payment", pay(amount))
      return yield* Step.run("book-courier", bookCourier(city), {
        error: NoCourier,
        retry: RetryPolicy.exponential({ maximumAttempts: 5, nonRetryableErrors: ["NoCourier"] })
      }).pipe(
        // `tapError` lets the failure go on when the compensation is done.
        Effect.tapError(() => Step.run("refund-payment", refund(payment), { input: payment }))
      )
    })

    return yield* payAndShip.pipe(
      Effect.tapError(() => Step.run("release-inventory", release(reservation), { input: reservation }))
    )
  })
)

const program = Effect.gen(function* () {
  yield* Effect.forkScoped(Worker.run({ taskQueue: "orders", workflows: [BuyLive] }))

  const courier = yield* Buy.execute({ item: "teapot", amount: 30, city: "Ghent" })
  yield* check("an order that goes well is paid and shipped", courier === "courier to Ghent" && account.balance === 70)

  const run = yield* Buy.start({ item: "kettle", amount: 40, city: "Atlantis" })
  const failure = yield* Effect.flip(run.result)
  const steps = (yield* run.steps).map(({ name }) => name)
  yield* Console.log(`the other one: ${steps.join(", ")}`)
  yield* check(
    "the failure reaches the caller with its type",
    failure._tag === "NoCourier" && failure.city === "Atlantis"
  )
  yield* check(
    "what was done is undone, last first",
    steps.join() === "reserve-inventory,process-payment,book-courier,refund-payment,release-inventory"
  )
  yield* check("the money and the kettle are back", account.balance === 70 && stock.has("kettle"))
})

main(program)
