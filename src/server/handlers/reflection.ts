/** The standard service by which tools learn what a server offers, in both versions that they speak. */
import {
  createRegistry,
  type DescFile,
  type DescService,
  type MessageInitShape,
  type Registry,
  toBinary
} from "@bufbuild/protobuf"
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt"
import { Code } from "@connectrpc/connect"
import { Stream } from "effect"
import {
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema
} from "../../../gen/grpc/reflection/v1/reflection_pb.ts"
import { ServerReflection as ServerReflectionAlpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.ts"
import { standardEntry } from "../standard.ts"

type Response = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>

/** The services of this one, under the name of each version. */
export const reflectionServices: ReadonlyArray<DescService> = [ServerReflection, ServerReflectionAlpha]

const notFound = (what: string): Response => ({
  case: "errorResponse",
  value: { errorCode: Code.NotFound, errorMessage: `${what} is not known here` }
})

const fileName = (file: DescFile) => file.proto.name

/** All files that tools may ask for, and the types that they declare. */
interface Known {
  readonly files: ReadonlySet<DescFile>
  readonly registry: Registry
}

const know = (services: ReadonlyArray<DescService>): Known => {
  const files = new Set<DescFile>()
  const visit = (file: DescFile) => {
    if (files.has(file)) return
    files.add(file)
    for (const imported of file.dependencies) visit(imported)
  }
  for (const { file } of services) visit(file)
  return { files, registry: createRegistry(...files) }
}

/** The file that declares something, by its full name: a type or service, or a part of one. */
const declaring = ({ files, registry }: Known, symbol: string): DescFile | undefined => {
  const found = registry.get(symbol)
  if (found !== undefined) return found.file
  const dot = symbol.lastIndexOf(".")
  const [scope, name] = [symbol.slice(0, dot), symbol.slice(dot + 1)]
  const owner = registry.get(scope)
  switch (owner?.kind) {
    case "service":
      return owner.methods.some((method) => method.name === name) ? owner.file : undefined
    case "message":
      if ([...owner.fields, ...owner.oneofs].some((part) => part.name === name)) return owner.file
  }
  // values of an enum belong to the scope around it
  for (const file of files) {
    for (const enumeration of [...file.enums, ...file.messages.flatMap((message) => message.nestedEnums)]) {
      const around = enumeration.parent?.typeName ?? file.proto.package
      if (around === scope && enumeration.values.some((value) => value.name === name)) return file
    }
  }
  return undefined
}

/** A file and those that it imports, without those that were sent before. */
const withImports = (file: DescFile, sent: Set<string>): Response => {
  const files: Array<DescFile> = []
  const visit = (next: DescFile) => {
    if (next !== file && sent.has(fileName(next))) return
    sent.add(fileName(next))
    if (!files.includes(next)) files.push(next)
    for (const imported of next.dependencies) if (!files.includes(imported)) visit(imported)
  }
  visit(file)
  return {
    case: "fileDescriptorResponse",
    value: { fileDescriptorProto: files.map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto)) }
  }
}

const answer = (
  services: ReadonlyArray<DescService>,
  known: Known,
  request: ServerReflectionRequest["messageRequest"],
  sent: Set<string>
): Response => {
  const { files, registry } = known
  switch (request.case) {
    case "listServices":
      return {
        case: "listServicesResponse",
        value: {
          service: services.map(({ typeName }) => ({ name: typeName })).sort((a, b) => (a.name < b.name ? -1 : 1))
        }
      }
    case "fileByFilename": {
      const found = Array.from(files).find((file) => fileName(file) === request.value)
      return found === undefined ? notFound(request.value) : withImports(found, sent)
    }
    case "fileContainingSymbol": {
      const found = declaring(known, request.value.replace(/^\./, ""))
      return found === undefined ? notFound(request.value) : withImports(found, sent)
    }
    case "allExtensionNumbersOfType":
      return registry.getMessage(request.value) === undefined
        ? notFound(request.value)
        : {
            case: "allExtensionNumbersResponse",
            value: {
              baseTypeName: request.value,
              extensionNumber: Array.from(registry)
                .filter((type) => type.kind === "extension" && type.extendee.typeName === request.value)
                .map((type) => (type.kind === "extension" ? type.number : 0))
            }
          }
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = request.value
      const extendee = registry.getMessage(containingType)
      const found = extendee === undefined ? undefined : registry.getExtensionFor(extendee, extensionNumber)
      return found === undefined ? notFound(`${containingType} ${extensionNumber}`) : withImports(found.file, sent)
    }
    case undefined:
      return {
        case: "errorResponse",
        value: { errorCode: Code.InvalidArgument, errorMessage: "The request asks for nothing" }
      }
  }
}

/** The entries of the service, on a server that has those services beside. */
export const reflection = (services: ReadonlyArray<DescService>) => {
  const all = [...services, ...reflectionServices]
  const known = know(all)
  const answers = <E>(requests: Stream.Stream<ServerReflectionRequest, E>) =>
    requests.pipe(
      Stream.mapAccum(
        () => new Set<string>(),
        (sent, request) => [
          sent,
          [
            {
              validHost: request.host,
              originalRequest: request,
              messageResponse: answer(all, known, request.messageRequest, sent)
            }
          ]
        ]
      )
    )
  return [
    standardEntry(ServerReflection.method.serverReflectionInfo, answers),
    // the messages of both versions are the same but for their names
    standardEntry(
      ServerReflectionAlpha.method.serverReflectionInfo,
      answers as unknown as Parameters<
        typeof standardEntry<typeof ServerReflectionAlpha.method.serverReflectionInfo>
      >[1]
    )
  ]
}
