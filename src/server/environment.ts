/** The options of a server, from the environment. */
import { Config, Duration, Effect, Option, Schema } from "effect"
import type { Options } from "./KagziServer.ts"
import { maxMessageBytes } from "./errorEncoding.ts"
import { longestPollMillis, longestRetentionMillis, shortestRetentionMillis } from "./Settings.ts"
import { StartError } from "./StartError.ts"
import { fromUrl } from "./stores.ts"

const whole = (name: string, minimum: number, maximum: number) =>
  Config.schema(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum, maximum }))), name)

const daySeconds = 86_400

const seconds = (name: string, maximum = daySeconds) => Config.option(whole(name, 1, maximum))

const variables = Config.all({
  url: Config.String("KAGZI_DB_URL").pipe(Config.withDefault("sqlite:./kagzi.db")),
  host: Config.option(Config.NonEmptyString("KAGZI_SERVER_HOST")),
  port: Config.option(whole("KAGZI_SERVER_PORT", 0, 65_535)),
  pollTimeout: seconds("KAGZI_WORKER_POLL_TIMEOUT_SECS", longestPollMillis / 1000),
  heartbeatInterval: seconds("KAGZI_WORKER_HEARTBEAT_INTERVAL_SECS"),
  lease: seconds("KAGZI_WORKER_LEASE_SECS"),
  staleAfter: seconds("KAGZI_WORKER_STALE_SECS"),
  retention: Config.option(
    whole("KAGZI_RETENTION_SECS", shortestRetentionMillis / 1000, longestRetentionMillis / 1000)
  ),
  otlpEndpoint: Config.option(Config.URL("KAGZI_OTLP_ENDPOINT")),
  maxPayloadBytes: Config.option(whole("KAGZI_MAX_PAYLOAD_BYTES", 1, maxMessageBytes))
})

const present = <K extends keyof Options, A>(name: K, value: Option.Option<A>, to: (value: A) => Options[K]) =>
  Option.isSome(value) ? { [name]: to(value.value) } : {}

const same = <A>(value: A) => value

/** Reads the variables. Fails when one makes no sense, with its name. */
export const environment: Effect.Effect<Options, StartError> = Effect.gen(function* () {
  const found = yield* Effect.mapError(
    variables,
    (cause) => new StartError({ reason: "BadConfig", message: cause.cause.message.replace(/\s+/g, " "), cause })
  )
  return {
    store: yield* fromUrl(found.url),
    ...present("host", found.host, same),
    ...present("port", found.port, same),
    ...present("pollTimeout", found.pollTimeout, Duration.seconds),
    ...present("heartbeatInterval", found.heartbeatInterval, Duration.seconds),
    ...present("lease", found.lease, Duration.seconds),
    ...present("staleAfter", found.staleAfter, Duration.seconds),
    ...present("retention", found.retention, Duration.seconds),
    ...present("otlpEndpoint", found.otlpEndpoint, String),
    ...present("maxPayloadBytes", found.maxPayloadBytes, same)
  }
})
