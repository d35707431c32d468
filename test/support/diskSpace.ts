/** Full disks, for single processes and without a disk of their own: by the limit on the size of files. Linux only. */
import { execFileSync } from "node:child_process"
import type { Child } from "./process.ts"

/**
 * The most bytes that a process may have in a file from now on; undefined is as many as it likes. Beyond, writing fails,
 * as it does on a full disk. Nothing happens to a process that has ended.
 */
export const limitFiles = (child: Child, bytes: number | undefined): void => {
  try {
    // the soft limit alone, which its owner may raise again
    execFileSync("prlimit", ["--pid", String(child.pid), `--fsize=${bytes ?? "unlimited"}:`], { stdio: "ignore" })
  } catch (cause) {
    if (child.isAlive()) throw cause
  }
}
