/**
 * Where the processes of a run of tests keep compiled code: most of a start is compiling, and nearly all of them compile
 * the same sources.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export default () => {
  // each project loads this file anew
  if (process.env.NODE_COMPILE_CACHE !== undefined) return undefined
  const folder = mkdtempSync(join(tmpdir(), "kagzi-code-"))
  process.env.NODE_COMPILE_CACHE = folder
  return () => {
    delete process.env.NODE_COMPILE_CACHE
    rmSync(folder, { recursive: true, force: true })
  }
}
