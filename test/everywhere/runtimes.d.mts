// The types of what tests take from runtimes.mjs.
export const runtimes: readonly { readonly name: string; readonly project: string }[]
