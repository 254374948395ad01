export function shrink(
  input: Uint8Array,
  hasFault: (input: Uint8Array) => Promise<boolean>,
  options?: { readonly seconds?: number; readonly tries?: number },
): Promise<Uint8Array>
