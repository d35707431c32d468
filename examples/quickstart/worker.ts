/** A worker: the body of the workflow, and the process that executes it. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer, References } from "effect"
import { KagziClient, RetryPolicy, Step, Worker, Workflow } from "kagzi"
import { Ledger } from "./Ledger.ts"
import { ProcessOrder } from "./order.ts"
import { chargeCard, packParcel, reserveStock, sendInvoice } from "./shop.ts"

const ProcessOrderLive = ProcessOrder.implement(
  Effect.fn(function* (order) {
    yield* Step.run("reserve-stock", reserveStock(order), { input: order })
    const paymentId = yield* Step.run("charge-card", chargeCard(order), {
      retry: RetryPolicy.exponential({ maximumAttempts: 5, initialInterval: "500 millis" })
    })
    yield* Workflow.sleep("cooling-off", "1 second")
    const parcelId = yield* Step.run("pack-parcel", packParcel(order))
    const invoiceId = yield* Step.run("send-invoice", sendInvoice(order))
    return { orderId: order.orderId, status: "shipped" as const, paymentId, parcelId, invoiceId }
  })
)

Worker.run({ taskQueue: "orders", workflows: [ProcessOrderLive] }).pipe(
  Effect.provide(Ledger.layer.pipe(Layer.provide(NodeServices.layer))),
  Effect.provide(KagziClient.layerConfig),
  Effect.provideService(References.MinimumLogLevel, "Warn"),
  NodeRuntime.runMain
)
