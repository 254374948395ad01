// The commands of the worker beside this file, for the tests that speak to it.
export const commands: Readonly<
  Record<'stages' | 'forever' | 'hang' | 'throwError' | 'throwMixtralError' | 'exit' | 'throwBesideWork' | 'listen', number>
>
