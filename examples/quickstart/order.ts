/** What a program must know to start an order, and a worker to work on it. */
import { Schema } from "effect"
import { Workflow } from "kagzi"

export const Order = Schema.Struct({
  orderId: Schema.String,
  item: Schema.String,
  amount: Schema.Finite
})

export type Order = typeof Order.Type

export const ProcessOrder = Workflow.make("process-order", {
  taskQueue: "orders",
  input: Order,
  output: Schema.Struct({
    orderId: Schema.String,
    status: Schema.Literal("shipped"),
    paymentId: Schema.String,
    parcelId: Schema.String,
    invoiceId: Schema.String
  })
})
