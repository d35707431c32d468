/** `kagzi schedule`. */
import { Command } from "effect/cli"
import * as Client from "../client.ts"
import { clientFlags } from "../flags.ts"
import * as Logging from "../logging.ts"
import { create } from "./create.ts"
import { get } from "./get.ts"
import { list } from "./list.ts"
import { next } from "./next.ts"
import { pause } from "./pause.ts"
import { remove } from "./remove.ts"
import { resume } from "./resume.ts"
import { runs } from "./runs.ts"
import { trigger } from "./trigger.ts"
import { update } from "./update.ts"

export const schedule = Command.make("schedule").pipe(
  Command.withDescription(
    "Start runs by the clock. With --output json the shapes are stable: each command's help names its own, and times are ISO 8601 in UTC"
  ),
  Command.withShortDescription("Start runs by the clock"),
  Command.withSubcommands([create, list, get, update, pause, resume, trigger, runs, next, remove]),
  Command.provide(Client.layer),
  Command.provide(Logging.layer()),
  Command.withGlobalFlags(clientFlags)
)
