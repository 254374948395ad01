export const commands: Readonly<
  Record<'stages' | 'forever' | 'hang' | 'throwError' | 'throwMixtralError' | 'exit' | 'throwBesideWork' | 'listen', number>
>
