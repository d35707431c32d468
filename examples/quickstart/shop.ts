/** The work behind the steps. It takes its time, it fails where a bank would, and what is done stands in the ledger. */
import { Console, type Duration, Effect } from "effect"
import { KagziError, Step } from "kagzi"
import { Ledger } from "./Ledger.ts"
import type { Order } from "./order.ts"

/** Works on the present step, and notes it in the ledger at the end: an interrupted step leaves no line. */
const work = Effect.fn(function* (duration: Duration.Input) {
  const { attempt, name } = yield* Step.info
  yield* Console.log(`${name}: attempt ${attempt}`)
  yield* Effect.sleep(duration)
  yield* (yield* Ledger).add
})

export const reserveStock = (order: Order) => work("200 millis").pipe(Effect.as(`one ${order.item}`))

export const chargeCard = Effect.fn(function* (order: Order) {
  const { attempt, name } = yield* Step.info
  if (attempt === 1) {
    yield* Console.log(`${name}: attempt 1: the bank does not answer`)
    return yield* KagziError.make("Unavailable", "The bank does not answer")
  }
  yield* work("200 millis")
  return `payment-${order.orderId}`
})

export const packParcel = (order: Order) => work("1500 millis").pipe(Effect.as(`parcel-${order.orderId}`))

export const sendInvoice = (order: Order) => work("200 millis").pipe(Effect.as(`invoice-${order.orderId}`))
