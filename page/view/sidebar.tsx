// The conversations that the browser keeps: to go to, find, rename, delete, take away and bring in.

import { useEffect, useRef, useState } from 'preact/hooks'
import type { Conversation } from '../chats/conversation.js'
import { stop } from '../state/answering.js'
import { conversations, current, exported, imported, open, remove, rename, storageTrouble } from '../state/library.js'
import { Icon, IconButton } from './icon.js'

/** So many need no search. */
const FEW = 6

export function Sidebar({ onGo }: { readonly onGo: () => void }) {
  const [words, setWords] = useState('')
  const found = matching(conversations.value, words)
  return (
    <nav class="sidebar" aria-label="Conversations" id="sidebar">
      <button
        type="button"
        class="new"
        title="Ctrl + Shift + O"
        onClick={() => {
          open()
          onGo()
        }}
      >
        <Icon name="plus" /> New conversation
      </button>
      {conversations.value.length > FEW && (
        <input
          type="search"
          value={words}
          placeholder="Search"
          aria-label="Search in conversations"
          onInput={({ currentTarget }) => setWords(currentTarget.value)}
        />
      )}
      <ul>
        {found.map((one) => (
          <Entry key={one.id} conversation={one} onGo={onGo} />
        ))}
      </ul>
      {conversations.value.length === 0 && <p class="facts">Conversations are kept in this browser, and nowhere else.</p>}
      {words && found.length === 0 && <p class="facts">None has these words.</p>}
      {storageTrouble.value && (
        <p class="failure" role="alert">
          {storageTrouble.value}
        </p>
      )}
      <Files />
    </nav>
  )
}

function matching(all: readonly Conversation[], words: string): readonly Conversation[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
  if (wanted.length === 0) return all
  return all.filter(({ title, messages }) => {
    const text = [title, ...messages.map(({ content }) => content)].join('\n').toLowerCase()
    return wanted.every((word) => text.includes(word))
  })
}

function Entry({ conversation, onGo }: { readonly conversation: Conversation; readonly onGo: () => void }) {
  const [mode, setMode] = useState<'plain' | 'rename' | 'delete'>('plain')
  const box = useRef<HTMLLIElement>(null)
  const isCurrent = current.value.id === conversation.id
  useEffect(() => {
    if (mode !== 'plain') box.current?.querySelector<HTMLElement>('input, button')?.focus()
  }, [mode])
  const back = () => {
    setMode('plain')
    box.current?.querySelector('button')?.focus()
  }
  const name = conversation.title || 'Without a title'
  if (mode === 'rename') {
    return (
      <li ref={box} class="entry">
        <input
          value={conversation.title}
          maxLength={200}
          aria-label={`New title of ${name}`}
          onKeyDown={(event) => {
            if (event.key === 'Enter') event.currentTarget.blur()
            if (event.key === 'Escape') back()
          }}
          onBlur={({ currentTarget }) => {
            rename(conversation, currentTarget.value)
            setMode('plain')
          }}
        />
      </li>
    )
  }
  if (mode === 'delete') {
    return (
      <li ref={box} class="entry asks">
        <span>Delete it for good?</span>
        <button type="button" class="danger" onClick={() => drop(conversation)}>
          Delete
        </button>
        <button type="button" class="quiet" onClick={back}>
          Keep
        </button>
      </li>
    )
  }
  return (
    <li ref={box} class={`entry ${isCurrent ? 'current' : ''}`}>
      <button
        type="button"
        class="title"
        aria-current={isCurrent ? 'page' : undefined}
        onClick={() => {
          open(conversation)
          onGo()
        }}
      >
        {name}
      </button>
      <IconButton icon="edit" label={`Rename ${name}`} onClick={() => setMode('rename')} />
      <IconButton icon="trash" label={`Delete ${name}`} onClick={() => setMode('delete')} />
    </li>
  )
}

function drop(conversation: Conversation): void {
  if (current.value.id === conversation.id) stop()
  remove(conversation)
  document.querySelector<HTMLElement>('#sidebar .new')?.focus()
}

function Files() {
  const input = useRef<HTMLInputElement>(null)
  const [told, setTold] = useState('')
  const onImport = async () => {
    const [file] = input.current!.files ?? []
    if (!file) return
    try {
      const count = await imported(file)
      setTold(count === 0 ? 'Nothing in the file was new.' : `${count} conversation${count === 1 ? '' : 's'} brought in.`)
    } catch (error) {
      setTold(`The file was not taken: ${(error as Error).message}.`)
    }
    input.current!.value = ''
  }
  const onExport = async () => {
    const link = document.createElement('a')
    link.href = URL.createObjectURL(await exported(conversations.value))
    link.download = `mixtral-conversations-${new Date().toISOString().slice(0, 10)}.json`
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
    setTold(`${conversations.value.length} conversations are in the file.`)
  }
  return (
    <div class="files">
      <button type="button" class="quiet" disabled={conversations.value.length === 0} onClick={() => void onExport()}>
        <Icon name="down" /> Export
      </button>
      <button type="button" class="quiet" onClick={() => input.current!.click()}>
        <Icon name="up" /> Import
      </button>
      <input ref={input} type="file" accept="application/json,.json" hidden onChange={() => void onImport()} />
      <p class="facts" role="status">
        {told}
      </p>
    </div>
  )
}
