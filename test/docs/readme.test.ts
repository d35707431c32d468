import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import {
  blocksOf,
  brokenLinks,
  compile,
  misnamed,
  readPage,
  root,
  scriptsOf,
  variablesOf,
  variablesOfSources
} from "./pages.ts"

const readme = readPage("README.md")

describe("README.md", () => {
  it("has code blocks that compile", () => {
    assert.isAbove(blocksOf(readme).length, 0)
    assert.deepStrictEqual(misnamed(readme), [], "each block names its file in its first line")
    assert.strictEqual(compile([readme]), "")
  })

  it("is held to what the compiler says", () => {
    const text = '```ts\n// wrong.ts\nimport { Nothing } from "kagzi"\nexport const nothing = Nothing\n```\n'
    assert.include(compile([{ path: "README.md", text }]), `has no exported member 'Nothing'`)
  })

  it("names every variable that the sources read, and no other", () => {
    assert.deepStrictEqual([...variablesOf(readme.text)].sort(), [...variablesOfSources()].sort())
  })

  it("names scripts and files that exist", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
    const named = scriptsOf(readme.text)
    assert.isAbove(named.length, 0)
    assert.deepStrictEqual(
      named.filter((name) => scripts[name] === undefined),
      []
    )
    assert.deepStrictEqual(brokenLinks(readme), [])
  })
})
