/** The service through which a program talks to a Kagzi server. */
import { Config, Context, Effect, Layer, type Redacted, Stream } from "effect"
import * as Admin from "./Admin.ts"
import type { KagziError } from "./KagziError.ts"
import { Protocol, type Shape as ProtocolShape } from "./protocol/Protocol.ts"
import * as Run from "./Run.ts"
import * as ScheduleClient from "./ScheduleClient.ts"
import * as Handle from "./WorkflowHandle.ts"
import * as Codec from "./worker/Codec.ts"
import { type Instant, toMillis } from "./worker/Wait.ts"

/** Where the server is and who asks. */
export interface Options {
  /**
   * `http://HOST:PORT` or `https://HOST:PORT`; `http://127.0.0.1:50051` unless given. Of several servers that share a
   * database all can be named, in a list or with commas in between: the client uses one of them, whichever, and goes on
   * to another when that one can't be reached.
   */
  readonly address?: string | ReadonlyArray<string> | undefined
  /** The namespace of everything that names no other; `default` unless given. */
  readonly namespace?: string | undefined
  /** Sent as a bearer token. */
  readonly apiKey?: Redacted.Redacted<string> | string | undefined
}

/** Which runs to list. What is left out does not matter. */
export interface ListFilter {
  readonly namespace?: string | undefined
  readonly status?: Run.Status | undefined
  readonly workflowType?: string | undefined
  readonly taskQueue?: string | undefined
  /** Exclusive. */
  readonly createdAfter?: Instant | undefined
  /** Exclusive. */
  readonly createdBefore?: Instant | undefined
}

/** The client's namespace counts unless another is given. */
export interface InNamespace {
  readonly namespace?: string | undefined
}

/** Runs of any workflow, by the run's id and without types. `Workflow` has the typed way. */
export interface Workflows {
  /** Newest first, loaded as they are wanted. */
  readonly list: (filter?: ListFilter) => Stream.Stream<Run.Description, KagziError>
  readonly get: (runId: string, options?: InNamespace) => Effect.Effect<Run.Description, KagziError>
  /** The active run with that id of its caller, else the newest that has ended. */
  readonly getById: (id: string, options?: InNamespace) => Effect.Effect<Run.Description, KagziError>
  /** Every attempt of every step, in the order they were begun, loaded as they are wanted. */
  readonly steps: (runId: string, options?: InNamespace) => Stream.Stream<Run.StepDescription, KagziError>
  /** Waits for the end of the run: its output as JSON, or what it failed with. */
  readonly result: (runId: string, options?: InNamespace) => Effect.Effect<unknown, Handle.ResultError>
  /** Cancels a run and gives its status after that. `PreconditionFailed` when it has ended. */
  readonly cancel: (runId: string, options?: InNamespace) => Effect.Effect<Run.Status, KagziError>
  /** Ends a run as failed, at once and without compensation. `PreconditionFailed` when it has ended. */
  readonly terminate: (runId: string, reason: string, options?: InNamespace) => Effect.Effect<Run.Status, KagziError>
  /** Starts a new run with the input of one that has ended, and gives the id of the new run. */
  readonly retry: (runId: string, options?: InNamespace) => Effect.Effect<string, KagziError>
}

export interface Shape {
  /** The namespace of everything that names no other. */
  readonly namespace: string
  readonly protocol: ProtocolShape
  readonly workflows: Workflows
  readonly schedules: ScheduleClient.Schedules
  readonly namespaces: Admin.Namespaces
  readonly admin: Admin.Admin
}

const defaultAddress = "http://127.0.0.1:50051"
const defaultNamespace = "default"

/** The client of a protocol. */
export const make = (protocol: ProtocolShape, namespace: string = defaultNamespace): Shape => {
  const handle = (runId: string, options: InNamespace = {}) =>
    Handle.make<unknown, never>(protocol, untyped, {
      namespace: options.namespace ?? namespace,
      runId,
      alreadyExists: true
    })
  return {
    namespace,
    protocol,
    workflows: {
      list: ({ createdAfter, createdBefore, status, taskQueue, workflowType, ...filter } = {}) =>
        Handle.pages((page) =>
          protocol.listRuns(
            {
              namespace: filter.namespace ?? namespace,
              ...(status === undefined ? {} : { status }),
              ...(workflowType === undefined ? {} : { workflowType }),
              ...(taskQueue === undefined ? {} : { taskQueue }),
              ...(createdAfter === undefined ? {} : { createdAfter: toMillis(createdAfter) }),
              ...(createdBefore === undefined ? {} : { createdBefore: toMillis(createdBefore) })
            },
            page
          )
        ).pipe(Stream.map(Run.describe)),
      get: (runId, options) => handle(runId, options).describe,
      getById: (id, options = {}) =>
        Effect.map(protocol.getRunByExternalId(options.namespace ?? namespace, id), Run.describe),
      steps: (runId, options = {}) => Handle.steps(protocol, options.namespace ?? namespace, runId),
      result: (runId, options) => handle(runId, options).result,
      cancel: (runId, options) => handle(runId, options).cancel,
      terminate: (runId, reason, options) => handle(runId, options).terminate(reason),
      retry: (runId, options = {}) => protocol.retryRun(options.namespace ?? namespace, runId)
    },
    schedules: ScheduleClient.make(protocol, namespace),
    namespaces: Admin.makeNamespaces(protocol),
    admin: Admin.make(protocol, namespace)
  }
}

const untyped: Handle.Definition<unknown> = { output: Codec.json, error: undefined }

/**
 * A client of one server and one namespace.
 *
 * @example
 * ```ts
 * const program = ProcessOrder.execute(input).pipe(
 *   Effect.provide(KagziClient.layer({ address: "http://localhost:50051" }))
 * )
 * ```
 */
export class KagziClient extends Context.Service<KagziClient, Shape>()("kagzi/KagziClient") {
  /** A client of the protocol that is there, in the namespace `default`. */
  static readonly layerProtocol: Layer.Layer<KagziClient, never, Protocol> = Layer.effect(
    KagziClient,
    Effect.map(Protocol, (protocol) => make(protocol))
  )

  /**
   * A client over gRPC. Nothing is connected before the first call; one that can't reach the server fails with
   * `Unavailable`. The layer fails with `InvalidArgument` when the address is no address.
   */
  static readonly layer = (options: Options = {}): Layer.Layer<KagziClient, KagziError> =>
    Layer.unwrap(
      Effect.map(transport, ([{ layer: node }, { layer: unary }]) =>
        Layer.effect(
          KagziClient,
          Effect.map(Protocol, (protocol) => make(protocol, options.namespace))
        ).pipe(
          Layer.provide(unary),
          Layer.provide(
            node({
              address: options.address ?? defaultAddress,
              ...(options.apiKey === undefined ? {} : { apiKey: options.apiKey })
            })
          )
        )
      )
    )

  /**
   * `layer` from the environment: `KAGZI_SERVER_ADDRESS`, with commas between several, `KAGZI_NAMESPACE`,
   * `KAGZI_API_KEY`.
   */
  static readonly layerConfig: Layer.Layer<KagziClient, KagziError | Config.ConfigError> = Layer.unwrap(
    Effect.map(
      Config.all({
        address: Config.String("KAGZI_SERVER_ADDRESS").pipe(Config.withDefault(defaultAddress)),
        namespace: Config.String("KAGZI_NAMESPACE").pipe(Config.withDefault(defaultNamespace)),
        apiKey: Config.Redacted("KAGZI_API_KEY").pipe(Config.withDefault(undefined))
      }),
      (options) => KagziClient.layer(options)
    )
  )
}

// Loaded when a client is made and not before: definitions import this file, and need no wire.
const transport = Effect.promise(() => Promise.all([import("./protocol/node.ts"), import("./protocol/unary.ts")]))
