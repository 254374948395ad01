// One message: its text, what can be done with it, and which of its branches is seen.

import { useComputed } from '@preact/signals'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { childrenOf, choose, type Message } from '../chats/conversation.js'
import { again, askInstead, goOn, isBusy, live, rewrite } from '../state/answering.js'
import { current, routingChanges, routingOf, update } from '../state/library.js'
import { preferences, set } from '../state/preferences.js'
import { chosenToken } from './expertChoice.js'
import { Figures } from './figures.js'
import { Icon, IconButton } from './icon.js'
import { copy, Json, Markdown } from './markdown.js'
import { ColoredText } from './tokens.js'

export function MessageView({ message, isLast }: { readonly message: Message; readonly isLast: boolean }) {
  const [edits, setEdits] = useState(false)
  const box = useRef<HTMLElement>(null)
  const isUser = message.role === 'user'
  const own = useComputed(() => (live.value?.message === message.id ? live.value : undefined)).value
  const text = own?.text ?? message.content
  const name = isUser ? 'You' : (message.model ?? 'The model')
  const endEdit = () => {
    setEdits(false)
    requestAnimationFrame(() => box.current?.querySelector<HTMLElement>('[aria-label^="Edit"]')?.focus())
  }
  return (
    <article class={`message ${message.role} ${isLast ? 'last' : ''}`} aria-label={name} data-message={message.id} ref={box}>
      <h2 class={isUser ? 'unseen' : 'who'}>{name}</h2>
      {edits ? (
        <Editor message={message} onEnd={() => endEdit()} />
      ) : (
        <>
          {isUser ? (
            <div class="said" dir="auto">
              {text}
            </div>
          ) : (
            <AnswerText message={message} text={text} writing={own !== undefined} />
          )}
          {own && own.phase !== 'writing' && <Waiting queue={own.queue} />}
          {!own && message.error && <div class="failure">{message.error}</div>}
          {!own && <Actions message={message} isLast={isLast} onEdit={() => setEdits(true)} />}
        </>
      )}
    </article>
  )
}

function AnswerText({ message, text, writing }: { readonly message: Message; readonly text: string; readonly writing: boolean }) {
  const { colored, panel } = preferences.value
  const isColored = colored && panel === 'experts'
  if (isColored) routingChanges.value // its arrays grow in place
  const routing = isColored ? routingOf(message.id) : undefined
  if (routing && routing.length > 0) return <ColoredText message={message.id} text={text} routing={routing} />
  return message.json ? <Json text={text} /> : <Markdown text={text} writing={writing} />
}

function Waiting({ queue }: { readonly queue: string }) {
  return (
    <p class="waiting">
      <span class="pulse" aria-hidden="true" />
      {queue || 'Waiting for the model'} …
    </p>
  )
}

interface ActionsProps {
  readonly message: Message
  readonly isLast: boolean
  readonly onEdit: () => void
}

function Actions({ message, isLast, onEdit }: ActionsProps) {
  const [copied, setCopied] = useState(false)
  const isUser = message.role === 'user'
  const busy = isBusy.value
  const hasText = message.content !== ''
  const isCut = message.finish === 'length' || message.finish === 'stopped' || (message.finish === 'failed' && hasText)
  const onCopy = async () => {
    setCopied(await copy(message.content))
    setTimeout(() => setCopied(false), 1500)
  }
  const onExperts = () => {
    chosenToken.value = { message: message.id, token: 0 }
    set({ panel: 'experts', colored: true })
  }
  return (
    <div class="below">
      <div class="actions">
        <Branches message={message} />
        {hasText && <IconButton icon={copied ? 'check' : 'copy'} label={copied ? 'Copied' : 'Copy'} onClick={onCopy} />}
        <IconButton icon="edit" label={isUser ? 'Edit, and ask again' : 'Edit the answer'} disabled={busy} onClick={onEdit} />
        {!isUser && <IconButton icon="again" label="Another answer" disabled={busy} onClick={() => void again(message)} />}
        {!isUser && hasText && <IconButton icon="grid" label="Its experts, token by token" disabled={busy} onClick={onExperts} />}
        {isUser && isLast && !busy && (
          <button type="button" class="quiet" onClick={() => void again({ ...message, parent: message.id })}>
            Answer
          </button>
        )}
        {!isUser && isLast && isCut && (
          <button type="button" class="quiet" disabled={busy} onClick={() => void goOn(message)}>
            <Icon name="play" /> Go on
          </button>
        )}
        {!isUser && message.finish === 'failed' && (
          <button type="button" class="quiet" disabled={busy} onClick={() => void again(message)}>
            Try again
          </button>
        )}
      </div>
      {!isUser && <Figures message={message} />}
    </div>
  )
}

function Branches({ message }: { readonly message: Message }) {
  const siblings = childrenOf(current.value, message.parent)
  if (siblings.length < 2) return null
  const place = siblings.findIndex(({ id }) => id === message.id)
  const go = (to: number) => update(choose(current.value, siblings[to]!))
  const busy = isBusy.value
  return (
    // biome-ignore lint/a11y/useSemanticElements: a group of buttons that is no part of a form
    <span class="branches" role="group" aria-label="Branches">
      <IconButton icon="left" label="Earlier branch" disabled={busy || place === 0} onClick={() => go(place - 1)} />
      <span>
        {place + 1}/{siblings.length}
      </span>
      <IconButton icon="right" label="Later branch" disabled={busy || place === siblings.length - 1} onClick={() => go(place + 1)} />
    </span>
  )
}

function Editor({ message, onEnd }: { readonly message: Message; readonly onEnd: () => void }) {
  const box = useRef<HTMLTextAreaElement>(null)
  const [text, setText] = useState(message.content)
  const isUser = message.role === 'user'
  useLayoutEffect(() => {
    box.current!.focus()
    box.current!.setSelectionRange(text.length, text.length)
  }, [])
  const take = () => {
    const written = box.current!.value // the state may be a moment behind it
    if (written.trim() === '' || isBusy.value) return
    onEnd()
    if (!isUser) rewrite(message, written)
    else void askInstead(message, written)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape') {
      event.stopPropagation()
      onEnd()
    } else if (event.key === 'Enter' && (isUser ? !event.shiftKey : event.ctrlKey || event.metaKey) && !event.isComposing) {
      event.preventDefault()
      take()
    }
  }
  return (
    <div class="editor">
      <textarea
        ref={box}
        rows={Math.min(20, text.split('\n').length + 1)}
        value={text}
        dir="auto"
        aria-label={isUser ? 'Your message' : 'The answer'}
        onInput={({ currentTarget }) => setText(currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      <div class="editor-actions">
        <small>{isUser ? 'The earlier message stays, as another branch.' : 'The model goes on from what you write.'}</small>
        <button type="button" class="quiet" onClick={onEnd}>
          Cancel
        </button>
        <button type="button" class="primary" disabled={text.trim() === ''} onClick={take}>
          {isUser ? 'Ask' : 'Keep'}
        </button>
      </div>
    </div>
  )
}
