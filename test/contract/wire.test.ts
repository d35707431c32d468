import { type DescField, type DescFile, ScalarType } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { readdirSync } from "node:fs"
import { file_kagzi_v1_admin } from "../../gen/kagzi/v1/admin_pb.ts"
import { file_kagzi_v1_common } from "../../gen/kagzi/v1/common_pb.ts"
import { file_kagzi_v1_execution } from "../../gen/kagzi/v1/execution_pb.ts"
import { file_kagzi_v1_namespace } from "../../gen/kagzi/v1/namespace_pb.ts"
import { file_kagzi_v1_session } from "../../gen/kagzi/v1/session_pb.ts"
import { file_kagzi_v1_worker } from "../../gen/kagzi/v1/worker_pb.ts"
import { file_kagzi_v1_workflow } from "../../gen/kagzi/v1/workflow_pb.ts"
import { file_kagzi_v1_workflow_schedule } from "../../gen/kagzi/v1/workflow_schedule_pb.ts"
import { additions, contract } from "./wireTable.ts"

const files = {
  common: file_kagzi_v1_common,
  workflow: file_kagzi_v1_workflow,
  worker: file_kagzi_v1_worker,
  workflow_schedule: file_kagzi_v1_workflow_schedule,
  admin: file_kagzi_v1_admin,
  namespace: file_kagzi_v1_namespace,
  execution: file_kagzi_v1_execution,
  session: file_kagzi_v1_session
}

/** Our own numbers in messages of the contract begin here, where no peer's future field can collide. */
const firstOwnNumber = 1000

/** One line per service, RPC, message, field, enum and enum value: what two peers have to agree on. */
type Facts = ReadonlyArray<string>

const rpc = (text: string) => {
  const name = text.split(" ").at(-1)
  return `${name}: ${text.slice(0, -name!.length)}kagzi.v1.${name}Request -> kagzi.v1.${name}Response`
}

const abbreviations: Record<string, string> = { TS: "google.protobuf.Timestamp", DUR: "google.protobuf.Duration" }
const scalars = new Set(Object.values(ScalarType).map((name) => String(name).toLowerCase()))

const fullType = (type: string) =>
  abbreviations[type] ?? (scalars.has(type) || type.startsWith("map<") ? type : `kagzi.v1.${type}`)

const label = { o: "optional ", r: "repeated " }

const fieldFact = (text: string): string => {
  const match = /^(\d+) (\w+) (?:([or]) )?(?:(\w+)\/)?(\S+)$/.exec(text)
  if (match === null) throw new Error(`not a field: ${text}`)
  const [, number, name, mark, choice, type] = match
  const labelled = mark === undefined ? "" : label[mark as "o" | "r"]
  return `${number} ${name}: ${labelled}${choice === undefined ? "" : `oneof ${choice} `}${fullType(type!)}`
}

const factsOfTable = (table: string): Facts =>
  table
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .flatMap((line) => {
      const [head, rest] = line.split(/:(?: |$)/, 2) as [string, string]
      const [kind, name, prefix] = head.includes(" ") ? head.split(" ") : ["message", head]
      const items = rest.split("; ").filter((item) => item !== "")
      return [
        `${kind} kagzi.v1.${name}`,
        ...items.map((item) => {
          const fact = kind === "service" ? rpc(item) : kind === "enum" ? `${prefix}${item}` : fieldFact(item)
          return `kagzi.v1.${name} / ${fact}`
        })
      ]
    })

const typeOfField = (field: DescField): string => {
  const element = (kind: "scalar" | "enum" | "message", of: { typeName: string } | ScalarType) =>
    kind === "scalar" ? ScalarType[of as ScalarType].toLowerCase() : (of as { typeName: string }).typeName
  switch (field.fieldKind) {
    case "scalar":
      return element("scalar", field.scalar)
    case "enum":
      return element("enum", field.enum)
    case "message":
      return element("message", field.message)
    case "list":
      return element(field.listKind, field.scalar ?? field.enum ?? field.message)
    case "map":
      return `map<${element("scalar", field.mapKey)},${element(field.mapKind, field.scalar ?? field.enum ?? field.message)}>`
  }
}

const factOfField = (field: DescField): string =>
  [
    `${field.number} ${field.name}:`,
    ...(field.proto.proto3Optional ? ["optional"] : []),
    ...(field.fieldKind === "list" ? ["repeated"] : []),
    ...(field.oneof === undefined ? [] : [`oneof ${field.oneof.name}`]),
    typeOfField(field)
  ].join(" ")

const factsOfFile = (file: DescFile): Facts => [
  ...file.services.flatMap((service) => [
    `service ${service.typeName}`,
    ...service.methods.map((method) => {
      const kind = method.methodKind === "unary" ? "" : `${method.methodKind} `
      return `${service.typeName} / ${method.name}: ${kind}${method.input.typeName} -> ${method.output.typeName}`
    })
  ]),
  ...file.enums.flatMap((enumeration) => [
    `enum ${enumeration.typeName}`,
    ...enumeration.values.map((value) => `${enumeration.typeName} / ${value.name} ${value.number}`)
  ]),
  ...file.messages.flatMap((message) => [
    `message ${message.typeName}`,
    ...message.fields.map((field) => `${message.typeName} / ${factOfField(field)}`),
    ...message.nestedMessages.map((nested) => `${message.typeName} / nested ${nested.name}`),
    ...message.nestedEnums.map((nested) => `${message.typeName} / nested ${nested.name}`)
  ]),
  ...file.extensions.map((extension) => `extension ${extension.typeName}`)
]

/** The fact that a service, an enum or a message exists, and not one about its parts. */
const isName = (fact: string) => !fact.includes(" / ")

const ownerOf = (fact: string) => (isName(fact) ? fact.split(" ")[1]! : fact.split(" / ")[0]!)

const isOwnNumber = (fact: string) => Number(/^\S+ \/ (\d+) /.exec(fact)?.[1] ?? 0) >= firstOwnNumber

const ownNames = new Set(
  Object.entries(additions).flatMap(([file, table]) => {
    const known = new Set(factsOfTable(contract[file as keyof typeof contract] ?? "").filter(isName))
    return factsOfTable(table)
      .filter((fact) => isName(fact) && !known.has(fact))
      .map(ownerOf)
  })
)

const isOwn = (fact: string) => isOwnNumber(fact) || ownNames.has(ownerOf(fact))

const sorted = (facts: Facts) => [...facts].sort()

describe("the wire contract", () => {
  for (const [name, table] of Object.entries(contract)) {
    it(`${name}.proto has everything the contract has, and nothing else`, () => {
      const generated = factsOfFile(files[name as keyof typeof files])
      assert.deepStrictEqual(sorted(generated.filter((fact) => !isOwn(fact))), sorted(factsOfTable(table)))
    })
  }

  for (const [name, table] of Object.entries(additions)) {
    it(`${name}.proto adds what the project decided to add, and nothing else`, () => {
      const generated = factsOfFile(files[name as keyof typeof files])
      assert.deepStrictEqual(sorted(generated.filter(isOwn)), sorted(factsOfTable(table).filter(isOwn)))
    })
  }

  it("adds fields to messages of the contract under numbers from 1000 only", () => {
    const strays = Object.values(additions)
      .flatMap(factsOfTable)
      .filter((fact) => !isName(fact) && !ownNames.has(ownerOf(fact)) && !isOwnNumber(fact))
    assert.deepStrictEqual(strays, [])
  })

  it("has a table for every generated file", () => {
    const generated = readdirSync(new URL("../../gen/kagzi/v1", import.meta.url), { recursive: true })
    assert.deepStrictEqual(
      generated.map(String).sort(),
      Object.keys(files)
        .map((name) => `${name}_pb.ts`)
        .sort()
    )
  })

  it("keeps every file in package kagzi.v1, as proto3", () => {
    for (const file of Object.values(files)) {
      assert.strictEqual(file.proto.package, "kagzi.v1")
      assert.strictEqual(file.proto.syntax, "proto3")
    }
  })
})
