/** Child processes of the tests of a store. */
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"

export interface Child {
  /** Whole lines that the process has said so far. */
  readonly lines: () => ReadonlyArray<string>
  /** Waits until it has said that many lines. Fails if it ends before. */
  readonly said: (count: number) => Effect.Effect<void, Error>
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Sends SIGKILL and waits until the process is gone and all it said was read. */
  readonly kill: Effect.Effect<void>
}

const ended = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null

/** Starts `child.ts`, which is gone when the scope closes. */
export const start = (...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync((): Child => {
      const script = fileURLToPath(new URL("child.ts", import.meta.url))
      const child = spawn(process.execPath, ["--no-warnings", script, ...args], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      let text = ""
      let closed = false
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk
      })
      child.on("close", () => {
        closed = true
      })
      const lines = () => text.split("\n").slice(0, -1)
      return {
        lines,
        said: (count) =>
          Effect.callback<void, Error>((resume) => {
            const look = () => {
              if (lines().length >= count) resume(Effect.void)
              else if (ended(child)) resume(Effect.fail(new Error(`the child ended after: ${text}`)))
            }
            child.stdout.on("data", look)
            child.on("close", look)
            look()
          }),
        signal: (signal) =>
          Effect.sync(() => {
            child.kill(signal)
          }),
        kill: Effect.callback((resume) => {
          if (closed) return resume(Effect.void)
          child.on("close", () => resume(Effect.void))
          child.kill("SIGKILL")
        })
      }
    }),
    (child) => child.kill
  )
