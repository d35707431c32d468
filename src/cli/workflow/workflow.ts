/** `kagzi workflow`. */
import { Command } from "effect/cli"
import * as Client from "../client.ts"
import { clientFlags } from "../flags.ts"
import * as Logging from "../logging.ts"
import { cancel } from "./cancel.ts"
import { get } from "./get.ts"
import { list } from "./list.ts"
import { result } from "./result.ts"
import { retry } from "./retry.ts"
import { execute, start } from "./start.ts"
import { steps } from "./steps.ts"
import { terminate } from "./terminate.ts"
import { watch } from "./watch.ts"

export const workflow = Command.make("workflow").pipe(
  Command.withDescription(
    "Start runs and look after them. With --output json the shapes are stable: each command's help names its own, and times are ISO 8601 in UTC"
  ),
  Command.withShortDescription("Start runs and look after them"),
  Command.withSubcommands([start, execute, get, list, steps, result, watch, cancel, terminate, retry]),
  Command.provide(Client.layer),
  Command.provide(Logging.layer()),
  Command.withGlobalFlags(clientFlags)
)
