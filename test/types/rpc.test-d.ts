import type { Effect } from "effect"
import { describe, expectTypeOf, it } from "vitest"
import type { GetServerInfoResponse, AdminService } from "../../gen/kagzi/v1/admin_pb.ts"
import type { ExecutionService } from "../../gen/kagzi/v1/execution_pb.ts"
import type { WorkerService } from "../../gen/kagzi/v1/worker_pb.ts"
import type { StartWorkflowResponse, WorkflowService } from "../../gen/kagzi/v1/workflow_pb.ts"
import type { KagziError } from "../../src/KagziError.ts"
import type { CallOptions, Client } from "../../src/protocol/Rpc.ts"

describe("a client made from a descriptor", () => {
  it("has every method of its service", () => {
    expectTypeOf<keyof Client<typeof WorkflowService>>().toEqualTypeOf<
      | "startWorkflow"
      | "getWorkflow"
      | "getWorkflowByExternalId"
      | "listWorkflows"
      | "cancelWorkflow"
      | "retryWorkflow"
      | "terminateWorkflow"
    >()
    expectTypeOf<keyof Client<typeof ExecutionService>>().toEqualTypeOf<
      "suspendRun" | "cancelStep" | "releaseRun" | "getHistory" | "awaitResult"
    >()
    expectTypeOf<keyof Client<typeof AdminService>>().toEqualTypeOf<keyof (typeof AdminService)["method"]>()
    expectTypeOf<keyof Client<typeof WorkerService>>().toEqualTypeOf<keyof (typeof WorkerService)["method"]>()
  })

  it("answers an effect of the response that fails with a KagziError and needs nothing", () => {
    expectTypeOf<ReturnType<Client<typeof WorkflowService>["startWorkflow"]>>().toEqualTypeOf<
      Effect.Effect<StartWorkflowResponse, KagziError>
    >()
    expectTypeOf<ReturnType<Client<typeof AdminService>["getServerInfo"]>>().toEqualTypeOf<
      Effect.Effect<GetServerInfoResponse, KagziError>
    >()
  })

  it("takes the fields of the request, and options", () => {
    type Start = Client<typeof WorkflowService>["startWorkflow"]
    expectTypeOf<Start>().toBeCallableWith({ namespace: "n", input: { data: new Uint8Array() } }, { timeoutMillis: 5 })
    expectTypeOf<Parameters<Start>[1]>().toEqualTypeOf<CallOptions | undefined>()
    // @ts-expect-error a field that the request does not have
    expectTypeOf<Start>().toBeCallableWith({ nameSpace: "n" })
    // @ts-expect-error a value of another type
    expectTypeOf<Start>().toBeCallableWith({ namespace: 5 })
  })
})
