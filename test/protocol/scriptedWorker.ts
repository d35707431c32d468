/** A worker that is registered over a session with a scripted server, and what that server says. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import type { ErrorCode } from "../../gen/kagzi/v1/common_pb.ts"
import type { Held, WorkerLink } from "../../src/protocol/Protocol.ts"
import { json, workerOptions } from "../contract/protocolRequests.ts"
import { client, type Event, type Scripted, type Stream } from "./scripted.ts"

export const namespace = "default"
export const workerId = "018f3a1e-0000-7000-8000-00000000000a"
export const runOf = (n: number) => `018f3a1e-0000-7000-8000-${String(n).padStart(12, "0")}`
export const at = { seconds: 1_700_000_000n, nanos: 0 }

/** The server's time. */
export const serverNow = () => {
  const millis = Math.floor(performance.now())
  return { seconds: at.seconds + BigInt(Math.floor(millis / 1_000)), nanos: (millis % 1_000) * 1_000_000 }
}

export const started = (id: number, runId: string): Event => ({
  id,
  event: { case: "started", value: { runId, alreadyExists: false } }
})

export const heard = (id: number): Event => ({
  id,
  event: { case: "heard", value: { accepted: true, now: serverNow() } }
})

export const done = (id: number): Event => ({ id, event: { case: "done", value: {} } })

export const refused = (
  id: number,
  code: ErrorCode,
  message: string,
  metadata: Record<string, string> = {}
): Event => ({
  id,
  event: { case: "error", value: { code, message, metadata } }
})

export const result = (id: number, runId: string): Event => ({
  id,
  event: { case: "result", value: { workflow: { runId, namespace, status: 4, createdAt: at } } }
})

export const task = (n: number, lease = 1, claimedAt = serverNow()): Event => ({
  event: {
    case: "task",
    value: {
      workerId,
      task: {
        runId: runOf(n),
        workflowType: "order",
        leaseEpoch: BigInt(lease),
        workflow: { runId: runOf(n), namespace, taskQueue: "orders", workflowType: "order", status: 2, createdAt: at },
        claimedAt
      }
    }
  }
})

export const completed = (id: number, sequence: number): Event => ({
  id,
  event: {
    case: "step",
    value: { record: { status: 3, sequence: BigInt(sequence), createdAt: at, finishedAt: at, kind: 1 } }
  }
})

export const begun = (id: number, stepId: string, name = "charge"): Event => ({
  id,
  event: {
    case: "step",
    value: { record: { stepId, name, kind: 1, status: 2, attemptNumber: 1, createdAt: at }, execute: true }
  }
})

export const step = (name: string) => ({ name, kind: "FUNCTION" as const, input: json(name) })

/** Registers a worker with a server, answers its first sign of life, and gives its side of the stream. */
export const connected = Effect.fnUntraced(function* (
  server: Scripted,
  held: () => ReadonlyArray<Held> = () => [],
  heartbeatIntervalSecs = 60
) {
  const protocol = yield* client(server.address)
  const connecting = yield* Effect.forkChild(protocol.connect(workerOptions(namespace, { held })))
  const stream = yield* server.accept
  const { id } = yield* stream.expect("register")
  stream.answer({
    id,
    event: { case: "registered", value: { workerId, heartbeatIntervalSecs, maxPayloadBytes: 2_000_000 } }
  })
  const link = yield* Fiber.join(connecting)
  const serving = yield* stream.expect("serve")
  assert.isTrue(serving.value.resumes)
  stream.answer(heard(serving.id))
  return { protocol, link, stream }
})

/** A step that is begun without waiting for the server. */
export const begunAhead = (link: WorkerLink, run: Held, name: string) => {
  const begun = link.beginAhead(run, step(name))
  assert.isDefined(begun)
  return begun
}

/** Polls, which asks the server for one more run, and hands the run over. */
export const polled = Effect.fnUntraced(function* (
  link: WorkerLink,
  stream: Stream,
  n: number,
  lease = 1,
  claimedAt?: ReturnType<typeof serverNow>
) {
  const polling = yield* Effect.forkChild(link.poll, { startImmediately: true })
  const { id } = yield* stream.expect("serve")
  stream.answer(heard(id), task(n, lease, claimedAt))
  return Option.getOrThrow(yield* Fiber.join(polling))
})
