// What is seen of a conversation, and where: it stays at the end while that is where the person is. A hidden region
// says answers to readers of screens, once, when they have ended.

import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { announcement, ask, live } from '../state/answering.js'
import { model } from '../state/connection.js'
import { current, isLoaded, path } from '../state/library.js'
import { set } from '../state/preferences.js'
import { Icon } from './icon.js'
import { MessageView } from './message.js'

/** Pixels from the end within which the person is at the end. */
const NEAR = 60

export function Transcript() {
  const box = useRef<HTMLElement>(null)
  const [away, setAway] = useState(false)
  const messages = path.value
  const text = live.value?.text
  const toEnd = () => box.current!.scrollTo({ top: box.current!.scrollHeight })
  useLayoutEffect(() => {
    if (!away) toEnd()
  }, [text, messages.length])
  useLayoutEffect(() => {
    setAway(false)
    toEnd()
  }, [current.value.id])
  useEffect(() => {
    const sized = new ResizeObserver(() => {
      if (!away) toEnd()
    })
    sized.observe(box.current!)
    return () => sized.disconnect()
  }, [away])
  const onScroll = () => {
    const { scrollHeight, scrollTop, clientHeight } = box.current!
    setAway(scrollHeight - scrollTop - clientHeight > NEAR)
  }
  return (
    <div class="transcript-box">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard */}
      <section class="transcript" aria-label="Conversation" aria-busy={live.value !== undefined} tabIndex={0} ref={box} onScroll={onScroll}>
        {messages.map((message, i) => (
          <MessageView key={message.id} message={message} isLast={i === messages.length - 1} />
        ))}
        {messages.length === 0 && isLoaded.value && <Welcome />}
      </section>
      {away && (
        <button type="button" class="to-end" onClick={toEnd}>
          <Icon name="more" /> To the end
        </button>
      )}
      <div class="unseen" role="status" aria-live="polite">
        {announcement.value}
      </div>
    </div>
  )
}

const IDEAS = ['Who are you?', 'Tell me a story.', 'What is the capital of France?']

function Welcome() {
  const { layers, experts, used, context } = model.value ?? {}
  return (
    <div class="welcome">
      <div class="mark" aria-hidden="true">
        {Array.from({ length: 16 }, (_, i) => (
          <i key={i} />
        ))}
      </div>
      <h2>Ask the model</h2>
      {layers !== undefined && experts !== undefined && (
        <p>
          {model.value!.id} has {layers} layers of {experts} experts; {used} of them write each token
          {context !== undefined && <>, in a context of {context.toLocaleString('en')} tokens</>}.
        </p>
      )}
      <div class="ideas">
        {IDEAS.map((idea) => (
          <button type="button" key={idea} onClick={() => void ask(idea)}>
            {idea}
          </button>
        ))}
        <button type="button" class="experts-idea" onClick={() => set({ panel: 'experts' })}>
          <Icon name="grid" /> Watch the experts at work
        </button>
      </div>
    </div>
  )
}
