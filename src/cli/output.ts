/** Prints what a command found: text for people, JSON for scripts. */
import { Console, Effect } from "effect"
import { Output } from "./flags.ts"

/** Prints one of both on stdout, as `--output` says. */
export const print = Effect.fnUntraced(function* (result: {
  readonly json: () => unknown
  readonly text: () => string
}) {
  const format = yield* Output
  yield* Console.log(format === "json" ? JSON.stringify(result.json(), undefined, 2) : result.text())
})
