/** Stand-ins for what is on the other side of the modules under test. */
import { Duration, Effect, Layer } from "effect"
import { KagziClient } from "../../src/KagziClient.ts"
import * as KagziError from "../../src/KagziError.ts"
import { Protocol, type Shape as ProtocolShape } from "../../src/protocol/Protocol.ts"
import type { Payload, Run } from "../../src/Run.ts"
import { type StepSpec, WorkflowRun } from "../../src/worker/WorkflowRun.ts"

export const payload = (value: unknown): Payload => ({
  data: new TextEncoder().encode(JSON.stringify(value)),
  metadata: {}
})

export const text = ({ data }: Payload): string => new TextDecoder().decode(data)

/** A run that executes each step once and answers what a record would: the payload or the failure, as plain data. */
export const makeRun = () => {
  const steps: Array<StepSpec> = []
  const sleeps: Array<string> = []
  const branches: Array<string> = []
  const layer = Layer.succeed(
    WorkflowRun,
    WorkflowRun.of({
      info: {
        runId: "run",
        id: "id",
        namespace: "default",
        taskQueue: "queue",
        workflowType: "type",
        version: "1",
        attempt: 1,
        scheduleId: undefined
      },
      step: (spec) =>
        Effect.suspend(() => {
          steps.push(spec)
          return spec.execute
        }),
      sleep: ({ name, wait }) =>
        Effect.suspend(() => {
          sleeps.push(`${name ?? ""}:${"until" in wait ? `until ${wait.until}` : Duration.toMillis(wait.duration)}`)
          return "until" in wait ? Effect.void : Effect.sleep(wait.duration)
        }),
      branches: (combinator) =>
        Effect.succeed((child) => {
          branches.push(`${combinator}/${child}`)
          return (effect) => effect
        }),
      uuid: Effect.succeed("uuid")
    })
  )
  return { steps, sleeps, branches, layer }
}

/** A client whose server answers what the test says, and nothing else. */
export const client = (protocol: Partial<ProtocolShape>): Layer.Layer<KagziClient> =>
  Layer.provide(KagziClient.layerProtocol, Layer.mock(Protocol, protocol))

/** A run as a server gives it. */
export const run = (fields: Partial<Run>): Run => ({
  namespace: "default",
  runId: "run",
  externalId: "id",
  taskQueue: "order",
  workflowType: "order",
  version: "1",
  status: "COMPLETED",
  input: payload(null),
  attempts: 1,
  priority: 0,
  createdAt: 0,
  ...fields
})

export const detail = (error: KagziError.KagziError): KagziError.Detail => KagziError.toDetail(error)
