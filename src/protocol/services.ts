/** The services that the unary protocol calls, and what the server at the other end says it can do. */
import { Effect, Option, Ref } from "effect"
import { AdminService } from "../../gen/kagzi/v1/admin_pb.ts"
import { ExecutionService } from "../../gen/kagzi/v1/execution_pb.ts"
import { NamespaceService } from "../../gen/kagzi/v1/namespace_pb.ts"
import { WorkerService } from "../../gen/kagzi/v1/worker_pb.ts"
import { WorkflowScheduleService } from "../../gen/kagzi/v1/workflow_schedule_pb.ts"
import { WorkflowService } from "../../gen/kagzi/v1/workflow_pb.ts"
import type { KagziError } from "../KagziError.ts"
import { executionFeature, scheduleFeature } from "./extensions.ts"
import type { ServerInfo } from "./Protocol.ts"
import * as Rpc from "./Rpc.ts"

/** How long a call may take that the server answers at once, in milliseconds. */
const callTimeout = 30_000

export interface Services {
  readonly workflows: Rpc.Client<typeof WorkflowService>
  readonly workers: Rpc.Client<typeof WorkerService>
  readonly admin: Rpc.Client<typeof AdminService>
  readonly execution: Rpc.Client<typeof ExecutionService>
  readonly namespaces: Rpc.Client<typeof NamespaceService>
  readonly schedules: Rpc.Client<typeof WorkflowScheduleService>
  readonly serverInfo: Effect.Effect<ServerInfo, KagziError>
  /**
   * Whether the server has our additions to the contract. Asked once, and again after a lost connection, behind which
   * another server may have come up.
   */
  readonly hasExecution: Effect.Effect<boolean, KagziError>
  /** Whether the server knows time zones and overlap policies of schedules. */
  readonly hasSchedules: Effect.Effect<boolean, KagziError>
}

export const make = (rpc: Rpc.Shape, options: { readonly plain: boolean }): Effect.Effect<Services> =>
  Effect.map(Ref.make(Option.none<boolean>()), (known): Services => {
    const forgetful: Rpc.Shape = {
      call: (method, input, callOptions) =>
        rpc
          .call(method, input, { timeoutMillis: callTimeout, ...callOptions })
          .pipe(
            Effect.tapError((error) => (error._tag === "Unavailable" ? Ref.set(known, Option.none()) : Effect.void))
          )
    }
    const admin = Rpc.client(AdminService, forgetful)
    const serverInfo = Effect.map(
      admin.getServerInfo({}),
      (info): ServerInfo => ({
        version: info.version,
        apiVersion: info.apiVersion,
        supportedFeatures: info.supportedFeatures,
        minSdkVersion: info.minSdkVersion
      })
    )
    const ask = Effect.map(serverInfo, (info) => info.supportedFeatures.includes(executionFeature)).pipe(
      Effect.tap((has) => Ref.set(known, Option.some(has)))
    )
    return {
      workflows: Rpc.client(WorkflowService, forgetful),
      workers: Rpc.client(WorkerService, forgetful),
      admin,
      execution: Rpc.client(ExecutionService, forgetful),
      namespaces: Rpc.client(NamespaceService, forgetful),
      schedules: Rpc.client(WorkflowScheduleService, forgetful),
      serverInfo,
      hasSchedules: options.plain
        ? Effect.succeed(false)
        : Effect.map(serverInfo, (info) => info.supportedFeatures.includes(scheduleFeature)),
      hasExecution: options.plain
        ? Effect.succeed(false)
        : Effect.flatMap(Ref.get(known), Option.match({ onNone: () => ask, onSome: Effect.succeed }))
    }
  })
