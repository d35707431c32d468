/** The flags of the commands that run a server, and the variables that they stand for. */
import { Option } from "effect"
import { Flag } from "effect/cli"

export const host = Flag.String("host").pipe(
  Flag.withDescription("The address to listen on [KAGZI_SERVER_HOST, 127.0.0.1]"),
  Flag.optional
)

export const port = Flag.Int("port").pipe(
  Flag.withDescription("The port to listen on; 0 picks a free one [KAGZI_SERVER_PORT, 50051]"),
  Flag.filter(
    (port) => port >= 0 && port <= 65_535,
    () => "a number between 0 and 65535"
  ),
  Flag.optional
)

export const dbUrl = Flag.String("db-url").pipe(
  Flag.withMetavar("url"),
  Flag.withDescription(
    "The database: sqlite:PATH, sqlite::memory: or postgres://USER:PASSWORD@HOST/DATABASE [KAGZI_DB_URL, sqlite:./kagzi.db]"
  ),
  Flag.optional
)

export const retentionSecs = Flag.Int("retention-secs").pipe(
  Flag.withMetavar("seconds"),
  Flag.withDescription(
    "How long runs are kept after their end, at least 60; for good unless given [KAGZI_RETENTION_SECS]"
  ),
  Flag.filter(
    (seconds) => seconds >= 60,
    () => "60 or more"
  ),
  Flag.optional
)

export const otlpEndpoint = Flag.String("otlp-endpoint").pipe(
  Flag.withMetavar("url"),
  Flag.withDescription("Where to export traces, metrics and logs over OTLP: http://HOST:4318 [KAGZI_OTLP_ENDPOINT]"),
  Flag.optional
)

export const address = (options: { readonly host: Option.Option<string>; readonly port: Option.Option<number> }) => ({
  KAGZI_SERVER_HOST: Option.getOrUndefined(options.host),
  KAGZI_SERVER_PORT: Option.getOrUndefined(Option.map(options.port, String))
})
