import type { DescEnum } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { ServingStatusSchema } from "../../gen/kagzi/v1/admin_pb.ts"
import { ErrorCodeSchema } from "../../gen/kagzi/v1/common_pb.ts"
import { StepKindSchema, StepStatusSchema, WorkerStatusSchema } from "../../gen/kagzi/v1/worker_pb.ts"
import { IfExistsSchema, WorkflowStatusSchema } from "../../gen/kagzi/v1/workflow_pb.ts"
import * as enums from "../../src/protocol/enums.ts"

const describeEnum = <Domain extends string>(desc: DescEnum, map: enums.TwoWay<Domain, number>) => {
  it(`maps every value of ${desc.name} there and back`, () => {
    const words = new Set<string>()
    for (const { number } of desc.values) {
      const word = map.fromProto(number)
      if (word === undefined) {
        assert.strictEqual(number, 0)
        continue
      }
      assert.strictEqual(map.toProto(word), number)
      words.add(word)
    }
    assert.isAtLeast(words.size, desc.values.length - 1)
  })

  it(`knows no value of ${desc.name} that the contract does not have`, () => {
    assert.isUndefined(map.fromProto(999))
  })
}

describe("enums", () => {
  describeEnum(WorkflowStatusSchema, enums.status)
  describeEnum(StepKindSchema, enums.stepKind)
  describeEnum(StepStatusSchema, enums.stepStatus)
  describeEnum(ErrorCodeSchema, enums.errorCode)
  describeEnum(WorkerStatusSchema, enums.workerStatus)
  describeEnum(ServingStatusSchema, enums.servingStatus)
  describeEnum(IfExistsSchema, enums.ifExists)

  it("gives the domain's words for what the names differ in", () => {
    assert.strictEqual(enums.ifExists.fromProto(0), "use-active")
    assert.strictEqual(enums.ifExists.toProto("return-finished"), 2)
    assert.strictEqual(enums.errorCode.toProto("PreconditionFailed"), 3)
    assert.isUndefined(enums.status.fromProto(0))
  })
})
