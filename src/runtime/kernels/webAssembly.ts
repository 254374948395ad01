// The types of WebAssembly under names of ours. They are declared here too, with nothing in them, for programs that are
// compiled without the DOM's types, where the merged declarations of these would be all that is missing.

declare global {
  namespace WebAssembly {
    interface Module {}
    interface Memory {}
  }
}

export type WasmModule = WebAssembly.Module
export type WasmMemory = WebAssembly.Memory
