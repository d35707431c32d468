/** What the steps did to the world: a file with one line for each piece of work that was done to its end. */
import { Config, Context, Effect, FileSystem, Layer, Schema } from "effect"
import { Step } from "kagzi"

const Entry = Schema.Struct({ step: Schema.String, attempt: Schema.Int, pid: Schema.Int })

export type Entry = typeof Entry.Type

const Line = Schema.fromJsonString(Entry)

export class Ledger extends Context.Service<Ledger, { readonly add: Effect.Effect<void> }>()("quickstart/Ledger") {
  /** The variable that tells a worker where the file is. */
  static readonly variable = "QUICKSTART_LEDGER"

  static readonly layer = Layer.effect(
    Ledger,
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      const path = yield* Config.String(Ledger.variable)
      return {
        add: Effect.gen(function* () {
          const { attempt, name } = yield* Step.info
          const line = yield* Schema.encodeEffect(Line)({ step: name, attempt, pid: process.pid })
          yield* files.writeFileString(path, `${line}\n`, { flag: "a" })
        }).pipe(Effect.orDie)
      }
    })
  )
}

/** All entries, in the order they were written. */
export const read = Effect.fn("Ledger.read")(function* (path: string) {
  const text = yield* (yield* FileSystem.FileSystem).readFileString(path)
  return yield* Effect.forEach(text.trimEnd().split("\n"), (line) => Schema.decodeEffect(Line)(line))
})
