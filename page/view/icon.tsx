// The signs of buttons, drawn as lines. Each stands beside a text or in a button that has a name.

const PATHS = {
  menu: 'M3 5.5h14M3 10h14M3 14.5h14',
  plus: 'M10 4v12M4 10h12',
  send: 'M10 16V4.5M5 9.5l5-5 5 5',
  stop: 'M6 6h8v8H6z',
  edit: 'M12.5 4.5l3 3L7 16H4v-3zM11 6l3 3',
  again: 'M15.5 8A6 6 0 1 0 16 11M16 4v4.5h-4.5',
  copy: 'M7.5 7.5h8v8h-8zM12.5 7.5v-3h-8v8h3',
  trash: 'M4 6h12M8 6V4h4v2M5.5 6l.8 10h7.4l.8-10',
  left: 'M12 5l-5 5 5 5',
  right: 'M8 5l5 5-5 5',
  sliders: 'M4 6h7M15 6h1M4 14h1M9 14h7M13 4v4M7 12v4',
  grid: 'M4 4h5v5H4zM11 4h5v5h-5zM4 11h5v5H4zM11 11h5v5h-5z',
  close: 'M5 5l10 10M15 5L5 15',
  more: 'M6 10l4 4 4-4',
  down: 'M10 4v9M5.5 9l4.5 4.5L14.5 9M4 16.5h12',
  up: 'M10 13V4M5.5 8L10 3.5 14.5 8M4 16.5h12',
  play: 'M7 5l8 5-8 5z',
  check: 'M4.5 10.5l3.5 3.5 7.5-8',
} as const

export type IconName = keyof typeof PATHS

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  )
}

interface ButtonProps {
  readonly icon: IconName
  readonly label: string
  readonly onClick: () => void
  readonly pressed?: boolean
  readonly expanded?: boolean
  readonly disabled?: boolean
  readonly class?: string
}

/** A button that has a sign and no text; its name is shown on hovering, too. */
export function IconButton({ icon, label, onClick, pressed, expanded, disabled, class: more = '' }: ButtonProps) {
  return (
    <button
      type="button"
      class={`icon-button ${more}`}
      aria-label={label}
      title={label}
      aria-pressed={pressed}
      aria-expanded={expanded}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  )
}
