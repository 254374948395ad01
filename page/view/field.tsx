// A field below its name, with a sentence below it that readers of screens hear as its description.

import type { ComponentChildren } from 'preact'

interface Props {
  readonly id: string
  readonly label: string
  readonly help?: string
  /** What is wrong with the value, in place of the help. */
  readonly problem?: string | undefined
  /** The input, which must have the id and `${id}-help` as its description. */
  readonly children: ComponentChildren
}

export function Field({ id, label, help, problem, children }: Props) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children}
      {(help || problem) && (
        <small id={`${id}-help`} class={problem ? 'wrong' : ''}>
          {problem ?? help}
        </small>
      )}
    </div>
  )
}
