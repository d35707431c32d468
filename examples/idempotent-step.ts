/**
 * Idempotent steps: a step runs at least once, so what it does elsewhere must not be done twice.
 *
 * `Step.info` has a key that is the same for all attempts of a step, in every process, and for no other step.
 */
import { Console, Effect, Schema } from "effect"
import { KagziError, RetryPolicy, Step, Worker, Workflow } from "kagzi"
import { check, main } from "./support.ts"

const Pay = Workflow.make("pay", { taskQueue: "payments", input: Schema.Finite, output: Schema.String })

/** A payment service that takes an idempotency key, as most do: a key it knows gets the payment made with it. */
const payments = new Map<string, { readonly id: string; readonly amount: number }>()
const calls: Array<string> = []

const callService = (amount: number, idempotencyKey: string) =>
  Effect.sync(() => {
    calls.push(idempotencyKey)
    const known = payments.get(idempotencyKey)
    if (known !== undefined) return known
    const payment = { id: `payment-${payments.size + 1}`, amount }
    payments.set(idempotencyKey, payment)
    return payment
  })

const charge = Effect.fn(function* (amount: number) {
  const { attempt, idempotencyKey } = yield* Step.info
  const payment = yield* callService(amount, idempotencyKey)
  // The money has moved, and the answer is lost: the worst moment for a failure.
  if (attempt === 1) return yield* KagziError.make("Unavailable", "The connection was lost")
  return payment.id
})

const PayLive = Pay.implement((amount) =>
  Step.run("charge", charge(amount), { retry: RetryPolicy.fixed("50 millis", { maximumAttempts: 3 }) })
)

const program = Effect.gen(function* () {
  yield* Effect.forkScoped(Worker.run({ taskQueue: "payments", workflows: [PayLive] }))

  const first = yield* Pay.execute(20)
  yield* Console.log(`${calls.length} calls, ${payments.size} payment: ${first}`)
  yield* check("the service was called twice", calls.length === 2)
  yield* check("both times with the same key", calls[0] === calls[1])
  yield* check("so it took the money once", payments.size === 1 && first === "payment-1")

  const second = yield* Pay.execute(20)
  yield* check("another run has another key", second === "payment-2" && payments.size === 2)
})

main(program)
