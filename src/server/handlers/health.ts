/** The standard service by which load balancers and orchestrators ask for the health of a server. */
import { Effect, Schedule, Stream } from "effect"
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../../gen/grpc/health/v1/health_pb.ts"
import { Engine } from "../../engine/Engine.ts"
import * as KagziError from "../../KagziError.ts"
import { standardEntry } from "../standard.ts"

/** How often a watched database is asked. */
const watchInterval = "5 seconds"

/** The server as a whole: services have no health of their own. */
const whole = ""

const status: Effect.Effect<ServingStatus, never, Engine> = Effect.gen(function* () {
  const engine = yield* Engine
  return yield* engine.ping.pipe(
    Effect.as(ServingStatus.SERVING),
    Effect.catch(() => Effect.succeed(ServingStatus.NOT_SERVING))
  )
})

/** The entries of the service, on a server that has the services of those names. */
export const health = (services: ReadonlyArray<string>) => {
  const known = new Set([whole, ...services])
  const check = standardEntry(Health.method.check, (requests) =>
    Stream.mapEffect(requests, ({ service }) =>
      known.has(service)
        ? Effect.map(status, (status) => ({ status }))
        : Effect.fail(KagziError.make("NotFound", `There is no service ${service}`))
    )
  )
  const list = standardEntry(Health.method.list, (requests) =>
    Stream.mapEffect(requests, () =>
      Effect.map(status, (status) => ({
        statuses: Object.fromEntries(Array.from(known, (service) => [service, { status }] as const))
      }))
    )
  )
  const watch = standardEntry(Health.method.watch, (requests) =>
    Stream.flatMap(requests, ({ service }) =>
      known.has(service)
        ? Stream.succeed(undefined).pipe(
            Stream.concat(Stream.fromSchedule(Schedule.spaced(watchInterval))),
            Stream.mapEffect(() => status),
            Stream.changes,
            Stream.map((status) => ({ status }))
          )
        : Stream.concat(Stream.succeed({ status: ServingStatus.SERVICE_UNKNOWN as ServingStatus }), Stream.never)
    )
  )
  return [check, list, watch]
}
