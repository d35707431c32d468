/** `kagzi dev`. */
import { Command } from "effect/cli"
import * as Logging from "./logging.ts"
import { serve } from "./serve.ts"
import { address, host, port } from "./serverFlags.ts"

export const dev = Command.make("dev", { host, port }, (options) =>
  serve({ ...address(options), KAGZI_DB_URL: "sqlite:./.kagzi/kagzi.db" })
).pipe(
  Command.withDescription("Run a server for development, with its database in ./.kagzi and a log for people"),
  Command.withShortDescription("Run a server for development"),
  Command.provide(Logging.layer("pretty"))
)
