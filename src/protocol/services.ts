/** The services that the unary protocol calls, and what the server at the other end says it can do. */
import { Effect, Semaphore } from "effect"
import { AdminService } from "../../gen/kagzi/v1/admin_pb.ts"
import { ExecutionService } from "../../gen/kagzi/v1/execution_pb.ts"
import { NamespaceService } from "../../gen/kagzi/v1/namespace_pb.ts"
import { WorkerService } from "../../gen/kagzi/v1/worker_pb.ts"
import { WorkflowScheduleService } from "../../gen/kagzi/v1/workflow_schedule_pb.ts"
import { WorkflowService } from "../../gen/kagzi/v1/workflow_pb.ts"
import type { KagziError } from "../KagziError.ts"
import { executionFeature, scheduleFeature, sessionFeature } from "./extensions.ts"
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
  /** Whether it takes sessions. */
  readonly hasSession: Effect.Effect<boolean, KagziError>
  /** Whether the server knows time zones and overlap policies of schedules. */
  readonly hasSchedules: Effect.Effect<boolean, KagziError>
  /** The connection was lost: whoever asks next asks the server. */
  readonly forget: () => void
  /** Sessions don't work here, whatever the server says; until the connection is lost. */
  readonly withoutSession: () => void
}

export const make = (rpc: Rpc.Shape, options: { readonly plain: boolean }): Effect.Effect<Services> =>
  Effect.sync((): Services => {
    let known: ReadonlySet<string> | undefined
    let sessionsWork = true
    const asking = Semaphore.makeUnsafe(1)
    const forget = () => {
      known = undefined
      sessionsWork = true
    }
    const forgetful: Rpc.Shape = {
      call: (method, input, callOptions) =>
        rpc
          .call(method, input, { timeoutMillis: callTimeout, ...callOptions })
          .pipe(Effect.tapError((error) => (error._tag === "Unavailable" ? Effect.sync(forget) : Effect.void)))
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
    const ask = Effect.map(serverInfo, (info) => {
      known = new Set(info.supportedFeatures)
      return known
    })
    // Thousands may ask at once, of whom one is enough.
    const features = Effect.suspend(() =>
      known === undefined
        ? asking.withPermit(Effect.suspend(() => (known === undefined ? ask : Effect.succeed(known))))
        : Effect.succeed(known)
    )
    const has = (feature: string) =>
      options.plain ? Effect.succeed(false) : Effect.map(features, (found) => found.has(feature))
    return {
      workflows: Rpc.client(WorkflowService, forgetful),
      workers: Rpc.client(WorkerService, forgetful),
      admin,
      execution: Rpc.client(ExecutionService, forgetful),
      namespaces: Rpc.client(NamespaceService, forgetful),
      schedules: Rpc.client(WorkflowScheduleService, forgetful),
      serverInfo,
      hasExecution: has(executionFeature),
      hasSession: Effect.map(has(sessionFeature), (announced) => announced && sessionsWork),
      hasSchedules: options.plain
        ? Effect.succeed(false)
        : Effect.map(serverInfo, (info) => info.supportedFeatures.includes(scheduleFeature)),
      forget,
      withoutSession: () => {
        forget()
        sessionsWork = false
      }
    }
  })
