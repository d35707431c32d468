import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { version } from "../../src/server/version.ts"

it("the version that the server and the command line tell is the package's", () => {
  const manifest = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"))
  assert.strictEqual(version, manifest.version)
})
