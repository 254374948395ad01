// The page: conversations on the left, the chat in the middle, experts or settings on the right. Owns what is open, and
// the keys that work everywhere.

import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { live, stop } from './state/answering.js'
import { connect, isGone, model, served, trouble } from './state/connection.js'
import { current, open } from './state/library.js'
import { type Preferences, preferences, set } from './state/preferences.js'
import { Composer } from './view/composer.js'
import { ExpertsPanel } from './view/expertsPanel.js'
import { IconButton } from './view/icon.js'
import { KeyDialog } from './view/keyDialog.js'
import { SettingsPanel } from './view/settingsPanel.js'
import { Sidebar } from './view/sidebar.js'
import { Transcript } from './view/transcript.js'

/** Below this width, the list of conversations lies above the chat. */
const NARROW = matchMedia('(max-width: 760px)')
const isNarrow = signal(NARROW.matches)
const drawer = signal(false)

function showSidebar(shown: boolean): void {
  if (isNarrow.value) drawer.value = shown
  else set({ sidebar: shown })
}

export function App() {
  const { panel, sidebar } = preferences.value
  const lists = isNarrow.value ? drawer.value : sidebar
  const above = isNarrow.value && drawer.value
  useEffect(() => {
    const onWidth = () => {
      isNarrow.value = NARROW.matches
      drawer.value = false
    }
    NARROW.addEventListener('change', onWidth)
    document.addEventListener('keydown', onKey)
    return () => {
      NARROW.removeEventListener('change', onWidth)
      document.removeEventListener('keydown', onKey)
    }
  }, [])
  const before = useRef(above)
  useEffect(() => {
    if (before.current === above) return
    before.current = above
    // focus goes where the person goes: into the list, and back to the button that has opened it
    if (above) document.querySelector<HTMLElement>('#sidebar button')?.focus()
    else if (document.activeElement === document.body) document.querySelector<HTMLElement>('header button')?.focus()
  }, [above])
  useEffect(() => {
    document.title = current.value.title ? `${current.value.title} · mixtral` : 'mixtral'
  }, [current.value.title])
  return (
    <div class={`app ${lists ? 'with-sidebar' : ''} ${panel === 'none' ? '' : 'with-panel'}`}>
      <Header lists={lists} above={above} />
      {lists && <Sidebar onGo={() => isNarrow.value && showSidebar(false)} />}
      {above && <button type="button" class="veil" aria-label="Close the list of conversations" onClick={() => showSidebar(false)} />}
      <main inert={above}>
        <Notices />
        <Transcript />
        <Composer />
      </main>
      {panel !== 'none' && (
        <aside class={`panel panel-${panel}`} aria-label={panel === 'experts' ? 'Experts' : 'Settings'} inert={above} id="panel">
          <div class="panel-head">
            <h2>{TITLES[panel]}</h2>
            <IconButton icon="close" label="Close the panel" onClick={() => closePanel(panel)} />
          </div>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard */}
          <section class="panel-body" tabIndex={0} aria-label={panel === 'experts' ? 'Pictures of experts' : 'All settings'}>
            {panel === 'experts' ? <ExpertsPanel /> : <SettingsPanel />}
          </section>
        </aside>
      )}
      <KeyDialog />
    </div>
  )
}

const TITLES = { experts: 'Experts at work', settings: 'Settings', none: '' } as const

/** Focus goes back to the button that opens it. */
function closePanel(panel: Preferences['panel']): void {
  set({ panel: 'none' })
  document.querySelector<HTMLElement>(`header [aria-label="${TITLES[panel]}"]`)?.focus()
}

function Header({ lists, above }: { readonly lists: boolean; readonly above: boolean }) {
  const { panel } = preferences.value
  const toggle = (name: Preferences['panel']) => set({ panel: panel === name ? 'none' : name })
  return (
    <header inert={above}>
      <IconButton icon="menu" label="Conversations" expanded={lists} onClick={() => showSidebar(!lists)} />
      <h1 class="unseen">mixtral</h1>
      <ModelChoice />
      <span class={`dot ${isGone.value ? 'gone' : ''}`} title={isGone.value ? 'The server is gone' : 'The server is there'} />
      <span class="space" />
      <IconButton icon="grid" label={TITLES.experts} expanded={panel === 'experts'} onClick={() => toggle('experts')} />
      <IconButton icon="sliders" label={TITLES.settings} expanded={panel === 'settings'} onClick={() => toggle('settings')} />
      {(!lists || above) && <IconButton icon="plus" label="New conversation" onClick={() => open()} />}
    </header>
  )
}

function ModelChoice() {
  const list = served.value
  if (list.length < 2) return <span class="model">{model.value?.id ?? 'mixtral'}</span>
  return (
    <select class="model" aria-label="Model" value={model.value?.id} onChange={({ currentTarget }) => set({ model: currentTarget.value })}>
      {list.map(({ id }) => (
        <option key={id} value={id}>
          {id}
        </option>
      ))}
    </select>
  )
}

function Notices() {
  if (isGone.value) {
    return (
      <div class="notice" role="alert">
        The server does not answer. What is here can be read; the page looks for the server again by itself.
        <button type="button" class="quiet" onClick={() => void connect()}>
          Look now
        </button>
      </div>
    )
  }
  if (!trouble.value) return null
  return (
    <div class="notice" role="alert">
      {trouble.value}
    </div>
  )
}

function onKey(event: KeyboardEvent): void {
  if (event.key === 'Escape' && !event.defaultPrevented) {
    if (drawer.value) drawer.value = false
    else if (live.value) stop()
  }
  if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.code === 'KeyO') {
    event.preventDefault()
    open()
  }
}
