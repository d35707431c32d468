#!/usr/bin/env node
/**
 * Where the process begins. Most of a start goes into finding and compiling the same hundreds of modules again, and so
 * this comes before any of them is loaded.
 */
import { enableCompileCache, registerHooks } from "node:module"

// Compiled code is kept in the folder for temporary files, or where NODE_COMPILE_CACHE says.
enableCompileCache()

// A relative import is a URL. Node looks for symbolic links on the way to the file as well, for each import of each
// module: a quarter of the start, though packages have none inside.
registerHooks({
  resolve: (specifier, context, next) =>
    specifier.startsWith(".") && context.parentURL !== undefined && context.conditions.includes("import")
      ? { url: new URL(specifier, context.parentURL).href, shortCircuit: true }
      : next(specifier, context)
})

void import("./run.ts")
