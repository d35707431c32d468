/**
 * A Kagzi server: one port for gRPC, gRPC-Web, Connect and JSON, and a database behind it.
 *
 * ```ts
 * const server = KagziServer.layer({ port: 50051, store: KagziServer.sqlite("./kagzi.db") })
 * Layer.launch(server).pipe(NodeRuntime.runMain)
 * ```
 */
import { Context, Deferred, Duration, Effect, Layer } from "effect"
import * as Engine from "../engine/Engine.ts"
import { guaranteedIntervals } from "../engine/lifecycle/leases.ts"
import { environment } from "./environment.ts"
import * as Handlers from "./handlers/index.ts"
import { makeRequestHandler } from "./http.ts"
import { listen } from "./listener.ts"
import { longestPollMillis, longestRetentionMillis, MaxPayloadBytes, shortestRetentionMillis } from "./Settings.ts"
import { StartError } from "./StartError.ts"
import * as Stores from "./stores.ts"

export { type Reason, StartError } from "./StartError.ts"
export { fromUrl, memory, postgres, type PostgresOptions, type ServerStore, sqlite } from "./stores.ts"

/** What rules the life of runs and workers on a server. A number for a duration is milliseconds. */
export interface EngineOptions {
  /** Where runs are kept. `memory` unless told otherwise. */
  readonly store?: Stores.ServerStore
  /** How long a worker's request for a task waits. At most, and by default, 60 seconds. */
  readonly pollTimeout?: Duration.Input
  /** How often workers send a sign of life. At least 1 second; by default 10. */
  readonly heartbeatInterval?: Duration.Input
  /** How long a run is its worker's after a sign of life. At least two heartbeats; by default 60 seconds. */
  readonly lease?: Duration.Input
  /** How long a worker may be silent before it counts as gone. At least two heartbeats; by default 30 seconds. */
  readonly staleAfter?: Duration.Input
  /**
   * How long runs are kept after their end. At least 1 minute; for good unless given.
   *
   * **Gotchas**
   *
   * Whatever asks for a run that was removed hears that there is none, and a start with its id starts a new one, also
   * with `return-finished`. Keep runs longer than anybody may ask for them, or start the same thing again.
   */
  readonly retention?: Duration.Input
  /** The most bytes of one input or output. By default 2097152; a whole request has room for 4194304. */
  readonly maxPayloadBytes?: number
}

export interface Options extends EngineOptions {
  /** The address to listen on. By default 127.0.0.1, since calls are not authenticated. */
  readonly host?: string
  /** By default 50051; 0 picks a free port. */
  readonly port?: number
  /** How long open calls may go on when the server stops. By default 5 seconds. */
  readonly grace?: Duration.Input
  /**
   * Where traces, metrics and logs are exported to over OTLP (HTTP, JSON): `http://HOST:4318`. Nowhere unless given;
   * spans and log lines then go where the tracer and the loggers around the server take them.
   */
  readonly otlpEndpoint?: string
}

/** A server that listens. */
export class KagziServer extends Context.Service<
  KagziServer,
  {
    /** `http://HOST:PORT`. */
    readonly address: string
    readonly port: number
  }
>()("kagzi/server/KagziServer") {}

const millis = (value: Duration.Input | undefined, name: string, standard: number, min: number, max: number) => {
  const given = value === undefined ? standard : Math.floor(Duration.toMillis(Duration.fromInputUnsafe(value)))
  return given >= min && given <= max
    ? Effect.succeed(given)
    : Effect.fail(
        new StartError({
          reason: "BadConfig",
          message: `${name} must be between ${min / 1000} and ${max / 1000} seconds, not ${given / 1000}`
        })
      )
}

const dayMillis = 86_400_000

const storeUnavailable = (cause: { readonly message: string }) =>
  Layer.effectContext(Effect.fail(new StartError({ reason: "StoreUnavailable", message: cause.message, cause })))

/** The engine of a server, without the network. */
export const layerEngine = (options: EngineOptions = {}): Layer.Layer<Engine.Engine, StartError> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const heartbeatMillis = yield* millis(
        options.heartbeatInterval,
        "heartbeatInterval",
        Engine.defaults.heartbeatMillis,
        1_000,
        dayMillis
      )
      const leaseMillis = yield* millis(options.lease, "lease", Engine.defaults.leaseMillis, 1_000, dayMillis)
      const staleMillis = yield* millis(options.staleAfter, "staleAfter", Engine.defaults.staleMillis, 1_000, dayMillis)
      for (const [name, value] of [
        ["lease", leaseMillis],
        ["staleAfter", staleMillis]
      ] as const) {
        // One lost heartbeat must not take a live worker's runs away.
        if (value < guaranteedIntervals * heartbeatMillis) {
          const message = `${name} (${value / 1000} s) must be at least twice the heartbeatInterval (${heartbeatMillis / 1000} s)`
          return yield* new StartError({ reason: "BadConfig", message })
        }
      }
      const { retention } = options
      const engine = Engine.layer({
        ...(retention === undefined
          ? {}
          : {
              retentionMillis: yield* millis(retention, "retention", 0, shortestRetentionMillis, longestRetentionMillis)
            }),
        heartbeatMillis,
        leaseMillis,
        staleMillis,
        pollTimeoutMillis: yield* millis(
          options.pollTimeout,
          "pollTimeout",
          Engine.defaults.pollTimeoutMillis,
          1_000,
          longestPollMillis
        )
      })
      return engine.pipe(Layer.catchTag("StoreError", storeUnavailable), Layer.provide(options.store ?? Stores.memory))
    })
  )

const urlHost = (host: string) => (host.includes(":") ? `[${host}]` : host)

/**
 * A server that listens until its scope closes.
 *
 * Then it takes no new calls, answers those that wait with `Unavailable`, and lets the others end within `grace`. Fails
 * with a `StartError` that says what is in the way.
 */
export const layer = (options: Options = {}): Layer.Layer<KagziServer, StartError> => {
  const listening = layerListening(options)
  const engine = layerEngine(options)
  const { otlpEndpoint } = options
  return otlpEndpoint === undefined
    ? Layer.provide(listening, engine)
    : Layer.unwrap(
        // loaded by those who export only
        Effect.map(
          Effect.promise(() => import("./otlp.ts")),
          (Otlp) =>
            Layer.merge(listening, Otlp.measuring).pipe(Layer.provide(engine), Layer.provide(Otlp.layer(otlpEndpoint)))
        )
      )
}

/** A server that listens, with the engine that is there; as `layer` in everything else. */
export const layerListening = (
  options: Pick<Options, "host" | "port" | "grace" | "maxPayloadBytes"> = {}
): Layer.Layer<KagziServer, StartError, Engine.Engine> =>
  Layer.effect(
    KagziServer,
    Effect.gen(function* () {
      const { grace = "5 seconds", host = "127.0.0.1", maxPayloadBytes, port = 50_051 } = options
      const stopping = yield* Deferred.make<void>()
      const onRequest = yield* makeRequestHandler(
        Handlers.entries,
        Deferred.await(stopping),
        Handlers.standardEntries
      ).pipe(
        maxPayloadBytes === undefined
          ? (effect) => effect
          : (effect) => Effect.provideService(effect, MaxPayloadBytes, maxPayloadBytes)
      )
      const onDrain = Effect.asVoid(Deferred.succeed(stopping, undefined))
      const listening = yield* listen({ host, port, grace, onRequest, onDrain })
      return { address: `http://${urlHost(host)}:${listening.port}`, port: listening.port }
    })
  )

/**
 * A server with options from the environment: `KAGZI_DB_URL` (`sqlite:./kagzi.db`, see `fromUrl`), `KAGZI_SERVER_HOST` (127.0.0.1),
 * `KAGZI_SERVER_PORT` (50051), `KAGZI_WORKER_POLL_TIMEOUT_SECS` (60), `KAGZI_WORKER_HEARTBEAT_INTERVAL_SECS` (10),
 * `KAGZI_WORKER_LEASE_SECS` (60), `KAGZI_WORKER_STALE_SECS` (30), `KAGZI_RETENTION_SECS` (none),
 * `KAGZI_MAX_PAYLOAD_BYTES` (2097152) and `KAGZI_OTLP_ENDPOINT` (none).
 */
export const layerConfig: Layer.Layer<KagziServer, StartError> = Layer.unwrap(Effect.map(environment, layer))
