import { create, fromBinary } from "@bufbuild/protobuf"
import { BinaryReader } from "@bufbuild/protobuf/wire"
import { assert, describe, it } from "@effect/vitest"
import { type SessionCommand, SessionCommandSchema } from "../../gen/kagzi/v1/session_pb.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import type { Payload } from "../../src/Run.ts"
import * as codec from "../../src/protocol/codec.ts"
import * as enums from "../../src/protocol/enums.ts"
import { startRequest } from "../contract/protocolRequests.ts"
import type { Command } from "../../src/protocol/session.ts"
import { makeEncoder } from "../../src/protocol/sessionWire.ts"

const runId = "018f3a1e-0000-7000-8000-000000000001"
const stepId = "018f3a1e-0000-7000-8000-000000000002"

/** What a peer reads, that knows nothing of how it was written. */
const read = (bytes: Uint8Array): SessionCommand => fromBinary(SessionCommandSchema, new BinaryReader(bytes).bytes())

const payloads: ReadonlyArray<Payload> = [
  { data: new TextEncoder().encode('"ü 😀"'), metadata: { encoding: "json/plain", ключ: "", "": "x" } },
  { data: new Uint8Array(0), metadata: {} },
  { data: new Uint8Array(300_000).fill(7), metadata: { encoding: "x".repeat(300) } }
]

describe("the bytes of commands", () => {
  const encode = makeEncoder()

  for (const [index, value] of payloads.entries()) {
    it(`are those of a begun step, with payload ${index}`, () => {
      const retryPolicy = RetryPolicy.make({ maximumAttempts: 3, nonRetryableErrors: ["Declined"] })
      for (const policy of [undefined, retryPolicy]) {
        const step = {
          name: `charge ${"ü".repeat(index * 100)}`,
          kind: "FUNCTION" as const,
          input: value,
          ...(policy === undefined ? {} : { retryPolicy: policy })
        }
        const command: Command = { case: "begin", namespace: "default", runId, step, stepId }
        assert.deepStrictEqual(
          read(encode(4_000_000_000, 2 ** 40, command)),
          create(SessionCommandSchema, {
            id: 4_000_000_000,
            leaseEpoch: 2n ** 40n,
            command: {
              case: "beginStep",
              value: {
                namespace: "default",
                runId,
                stepName: step.name,
                kind: 1,
                input: codec.payload(value),
                stepId,
                ...(policy === undefined ? {} : { retryPolicy: codec.retryPolicy(policy) })
              }
            }
          })
        )
      }
    })

    it(`are those of a completed step, with payload ${index}`, () => {
      const command: Command = { case: "complete", namespace: "", runId, stepId, output: value }
      assert.deepStrictEqual(
        read(encode(1, 0, command)),
        create(SessionCommandSchema, {
          id: 1,
          command: { case: "completeStep", value: { runId, stepId, output: codec.payload(value) } }
        })
      )
    })

    it(`are those of a run's end, with payload ${index}`, () => {
      const command: Command = { case: "completeRun", namespace: "default", runId, output: value }
      assert.deepStrictEqual(
        read(encode(1, 3, command)),
        create(SessionCommandSchema, {
          id: 1,
          leaseEpoch: 3n,
          command: { case: "completeWorkflow", value: { namespace: "default", runId, output: codec.payload(value) } }
        })
      )
    })

    it(`are those of a start, with payload ${index}`, () => {
      const request = startRequest("default", { input: value })
      const retryPolicy = RetryPolicy.make({ maximumAttempts: 3 })
      for (const more of [{}, { retryPolicy, ifExists: "return-finished", version: "" } as const]) {
        const asked = { ...request, ...more }
        assert.deepStrictEqual(
          read(encode(1, 0, { case: "start", request: asked })),
          create(SessionCommandSchema, {
            id: 1,
            command: {
              case: "startWorkflow",
              value: {
                namespace: "default",
                externalId: "order-1",
                taskQueue: "orders",
                workflowType: "order",
                version: asked.version,
                input: codec.payload(value),
                ifExists: enums.ifExists.toProto(asked.ifExists),
                ...("retryPolicy" in more ? { retryPolicy: codec.retryPolicy(more.retryPolicy) } : {})
              }
            }
          })
        )
      }
    })
  }

  it("are those of a wait", () => {
    assert.deepStrictEqual(
      read(encode(1, 0, { case: "await", namespace: "default", runId })),
      create(SessionCommandSchema, { id: 1, command: { case: "awaitResult", value: { namespace: "default", runId } } })
    )
  })

  it("are those of any other command", () => {
    const command: Command = { case: "suspendRun", value: { namespace: "default", runId } }
    assert.deepStrictEqual(
      read(encode(7, 3, command)),
      create(SessionCommandSchema, { id: 7, leaseEpoch: 3n, command })
    )
  })
})
