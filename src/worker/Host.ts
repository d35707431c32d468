/** What a worker tells of the machine it runs on. */
import { hostname as osHostname } from "node:os"
import { pid } from "node:process"
import { Context } from "effect"

export const hostname: () => string = osHostname

/** The id of the process, unless everything is to be repeatable. */
export const Pid = Context.Reference<number>("kagzi/worker/Pid", { defaultValue: () => pid })
