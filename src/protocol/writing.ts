/** Writing messages field by field, which takes a fraction of the time that it takes by descriptors. */
import { BinaryWriter } from "@bufbuild/protobuf/wire"
import { nothing, type Payload } from "../Run.ts"

export const varint = 0
export const delimited = 2

export const tag = (field: number, type: typeof varint | typeof delimited): number => ((field << 3) | type) >>> 0

export const text = (writer: BinaryWriter, field: number, value: string | undefined): void => {
  if (value !== undefined && value !== "") writer.uint32(tag(field, delimited)).string(value)
}

export const payload = (writer: BinaryWriter, field: number, value: Payload | undefined): void => {
  if (value === undefined) return
  const { data, metadata } = value
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

/**
 * Gives the bytes of one message after the other, each after its length. One writer serves all, because growing its
 * buffer is what takes time.
 */
export const makeWriting = (): ((write: (writer: BinaryWriter) => void) => Uint8Array) => {
  let free: BinaryWriter | undefined
  return (write) => {
    const writer = free ?? new BinaryWriter()
    // one that is left in the middle of a message is of no more use
    free = undefined
    writer.fork()
    write(writer)
    const bytes = writer.join().finish()
    free = writer
    return bytes
  }
}
