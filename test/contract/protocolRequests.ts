/** Requests of clients and workers, as tests of the protocol send them. */
import { assert } from "@effect/vitest"
import { Effect, Option } from "effect"
import type * as KagziError from "../../src/KagziError.ts"
import {
  Protocol,
  type StartRequest,
  type Task,
  type WorkerLink,
  type WorkerOptions
} from "../../src/protocol/Protocol.ts"
import type { Payload } from "../../src/Run.ts"

export const json = (value: unknown): Payload => ({
  data: new TextEncoder().encode(JSON.stringify(value)),
  metadata: { encoding: "json" }
})

export const decoded = (payload: Payload | undefined): unknown =>
  payload === undefined ? undefined : JSON.parse(new TextDecoder().decode(payload.data))

let namespaces = 0

/** A namespace that no other test uses. */
export const freshNamespace = (): string => `test-${++namespaces}`

export const startRequest = (namespace: string, more: Partial<StartRequest> = {}): StartRequest => ({
  namespace,
  externalId: "order-1",
  taskQueue: "orders",
  workflowType: "order",
  version: "2",
  input: json({ item: "ü" }),
  ifExists: "use-active",
  ...more
})

export const workerOptions = (namespace: string, more: Partial<WorkerOptions> = {}): WorkerOptions => ({
  namespace,
  taskQueue: "orders",
  workflowTypes: ["order"],
  hostname: "here",
  pid: 7,
  instanceId: "a",
  version: "1",
  labels: { region: "eu" },
  workflowTypeConcurrency: {},
  held: () => [],
  ...more
})

/** The next run for a worker; a long poll that comes back empty is asked again. */
export const nextTask = (link: WorkerLink): Effect.Effect<Task, KagziError.KagziError> =>
  Effect.flatMap(link.poll, Option.match({ onNone: () => nextTask(link), onSome: Effect.succeed }))

/** A run that was started and is held by the only worker of its namespace. */
export const started = Effect.fnUntraced(function* (
  more: Partial<StartRequest> = {},
  worker: Partial<WorkerOptions> = {}
) {
  const protocol = yield* Protocol
  const namespace = freshNamespace()
  const { runId } = yield* protocol.start(startRequest(namespace, more))
  const link = yield* protocol.connect(workerOptions(namespace, worker))
  const task = yield* nextTask(link)
  assert.strictEqual(task.runId, runId)
  return { protocol, namespace, runId, link, task }
})
