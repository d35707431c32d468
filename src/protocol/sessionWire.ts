/**
 * The bytes of commands, as they stand in the message that carries them: each after its length.
 *
 * They are made once, when a command is given to the session. The two commands that make up a step are nearly all that
 * a busy worker sends: they are written field by field, which takes a quarter of the time that it takes by descriptors.
 */
import { create, toBinary } from "@bufbuild/protobuf"
import { BinaryWriter } from "@bufbuild/protobuf/wire"
import { RetryPolicySchema } from "../../gen/kagzi/v1/common_pb.ts"
import { OpenSessionRequestSchema } from "../../gen/kagzi/v1/session_pb.ts"
import { nothing, type Payload } from "../Run.ts"
import * as codec from "./codec.ts"
import * as enums from "./enums.ts"
import type { Begin, Command, Complete } from "./session.ts"

const varint = 0
const delimited = 2

const tag = (field: number, type: typeof varint | typeof delimited) => ((field << 3) | type) >>> 0

const text = (writer: BinaryWriter, field: number, value: string) => {
  if (value !== "") writer.uint32(tag(field, delimited)).string(value)
}

const payload = (writer: BinaryWriter, field: number, { data, metadata }: Payload) => {
  writer.uint32(tag(field, delimited)).fork()
  // Peers can't tell an empty payload from none.
  writer.uint32(tag(1, delimited)).bytes(data.byteLength === 0 ? nothing.data : data)
  for (const key of Object.keys(metadata)) {
    writer.uint32(tag(2, delimited)).fork()
    writer.uint32(tag(1, delimited)).string(key)
    writer.uint32(tag(2, delimited)).string(metadata[key] ?? "")
    writer.join()
  }
  writer.join()
}

const begin = (writer: BinaryWriter, { namespace, runId, step, stepId }: Begin) => {
  writer.uint32(tag(20, delimited)).fork()
  text(writer, 1, namespace)
  text(writer, 2, runId)
  text(writer, 3, step.name)
  writer.uint32(tag(4, varint)).uint32(enums.stepKind.toProto(step.kind))
  payload(writer, 5, step.input)
  if (step.retryPolicy !== undefined) {
    writer.uint32(tag(6, delimited)).bytes(toBinary(RetryPolicySchema, codec.retryPolicy(step.retryPolicy)))
  }
  text(writer, 1002, stepId)
  writer.join()
}

const complete = (writer: BinaryWriter, { namespace, output, runId, stepId }: Complete) => {
  writer.uint32(tag(21, delimited)).fork()
  text(writer, 1, namespace)
  text(writer, 2, runId)
  text(writer, 3, stepId)
  payload(writer, 4, output)
  writer.join()
}

/** Makes the bytes of commands. One writer serves all, because growing its buffer is what takes time. */
export const makeEncoder = () => {
  const writer = new BinaryWriter()

  return (id: number, lease: number, command: Command): Uint8Array => {
    if (command.case !== "begin" && command.case !== "complete") {
      const commands = [{ id, leaseEpoch: BigInt(lease), command }]
      // Of a message with this one field the tag, which is one byte, is left out.
      return toBinary(OpenSessionRequestSchema, create(OpenSessionRequestSchema, { commands })).subarray(1)
    }
    writer.fork()
    writer.uint32(tag(1, varint)).uint32(id)
    writer.uint32(tag(2, varint)).int64(lease)
    if (command.case === "begin") begin(writer, command)
    else complete(writer, command)
    return writer.join().finish()
  }
}
