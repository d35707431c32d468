/** `kagzi server`. */
import { Option } from "effect"
import { Command } from "effect/cli"
import * as Logging from "./logging.ts"
import { serve } from "./serve.ts"
import { address, dbUrl, host, otlpEndpoint, port, retentionSecs } from "./serverFlags.ts"

export const server = Command.make("server", { host, port, dbUrl, retentionSecs, otlpEndpoint }, (options) =>
  serve({
    ...address(options),
    KAGZI_DB_URL: Option.getOrUndefined(options.dbUrl),
    KAGZI_RETENTION_SECS: Option.getOrUndefined(Option.map(options.retentionSecs, String)),
    KAGZI_OTLP_ENDPOINT: Option.getOrUndefined(options.otlpEndpoint)
  })
).pipe(
  Command.withDescription(
    "Run a server until SIGTERM or SIGINT. When it is ready, it prints `kagzi server listening on http://HOST:PORT`; the log goes to stderr. Further variables: KAGZI_WORKER_POLL_TIMEOUT_SECS (60), KAGZI_WORKER_HEARTBEAT_INTERVAL_SECS (10), KAGZI_WORKER_LEASE_SECS (60), KAGZI_WORKER_STALE_SECS (30), KAGZI_MAX_PAYLOAD_BYTES (2097152), KAGZI_LOG_LEVEL (info), KAGZI_LOG_FORMAT (pretty, json or logfmt)"
  ),
  Command.withShortDescription("Run a server"),
  Command.provide(Logging.layer())
)
