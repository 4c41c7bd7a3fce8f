// The page's side of the channel: sends keys and sliders to Python, one at a time.
//
// `up` and `down` are data sources of one cell: JSON that goes to Python, and that comes from it.
// A message is sent when the picture of the one before has been drawn; meanwhile the newest value
// of a slider replaces older ones, presses of a key are counted, and a held key counts once.

const HELD_SLIDER_KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End",
                          "PageUp", "PageDown"]

function find(selector, node = document) {
  const found = node.querySelector(selector)
  if (found != null) return found
  for (const element of node.querySelectorAll("*")) {
    if (element.shadowRoot == null) continue
    const inside = find(selector, element.shadowRoot)
    if (inside != null) return inside
  }
  return null
}

const page = find("." + page_class)
if (page == null || up.is_connected_to_page) return
up.is_connected_to_page = true
const hosts = new Map()  // of widgets, by class

// Lines of text ------------------------------------------------------------------------------

// Bokeh lays out the whole page again when a text changes, which takes longer than a picture does.
// Here a line is written where it is; if it needs more room, the browser tells Bokeh.
const lines = text.default_view.prototype
if (lines.rerender_all == null) {
  lines.rerender_all = lines.rerender
  lines.rerender = function () {
    const {markup_el: line, model} = this
    const is_plain = model.render_as_text && model.disable_math
    if (line != null && is_plain && line.textContent != model.text) line.textContent = model.text
    else this.rerender_all()
  }
}

// Messages -----------------------------------------------------------------------------------

const waiting = new Map()
let number = 0
let sent = null
let held = null
let playing = null
let played_at = 0
let touched = "pointer"

function send() {
  if (sent != null || waiting.size == 0) return
  const [name, message] = waiting.entries().next().value
  waiting.delete(name)
  number += 1
  sent = {number, name, at: message.at}
  delete message.at
  up.data = {message: [JSON.stringify({number, ...message})]}
}

function queue(name, message) {
  const before = waiting.get(name)
  waiting.set(name, {at: before?.at ?? performance.now(), ...message})
  send()
}

function drawn(answered) {
  if (sent == null || answered != sent.number) return
  performance.measure("dkist-virtual " + sent.name, {start: sent.at, end: performance.now()})
  if (performance.getEntriesByType("measure").length > 1000) performance.clearMeasures()
  sent = null
  if (playing != null && !waiting.has("play")) {
    const left = playing.every - (performance.now() - played_at)
    if (left <= 0) play()
    else setTimeout(play, left)
  }
  send()
}

function play() {
  if (playing == null || sent?.name == "play" || waiting.has("play")) return
  played_at = performance.now()
  queue("play", {kind: "play"})
}

let shown = []

function slide(axis, pixel) {
  // Sliders are moved by answers, too.
  const name = "axis " + axis
  if (pixel === shown[axis] && !waiting.has(name) && sent?.name != name) return
  queue(name, {kind: "axis", axis, pixel})
}

up.slide = slide

// Answers ------------------------------------------------------------------------------------

function label(name, part, attributes) {
  if (!hosts.has(name)) hosts.set(name, find("." + name, page.shadowRoot ?? page))
  const host = hosts.get(name)
  if (host == null) return
  const elements = part == "" ? [host] : (host.shadowRoot ?? host).querySelectorAll(part)
  for (const element of elements)
    for (const [key, value] of Object.entries(attributes))
      if (element.getAttribute(key) !== value) element.setAttribute(key, value)
}

function receive() {
  const answer = JSON.parse(down.data.message[0])
  shown = answer.point
  for (const [axis, pixel] of answer.point.entries()) {
    const slider = sliders[axis]
    const name = "axis " + axis
    if (slider != null && slider.value != pixel && !waiting.has(name) && sent?.name != name)
      slider.value = pixel
  }
  for (const [name, part, attributes] of answer.labels) label(name, part, attributes)
  const was = playing
  playing = answer.playing
  if (answer.asks_for_help) show_help()
  if (answer.takes_focus && touched == "pointer") page.focus({preventScroll: true})
  // The second frame begins when the first one has been drawn.
  requestAnimationFrame(() => requestAnimationFrame(() => {
    drawn(answer.number)
    if (was == null && playing != null) play()
  }))
}
down.connect(down.properties.data.change, receive)

// Keys ---------------------------------------------------------------------------------------

function is_for_another(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return true
  const element = event.composedPath()[0]
  if (!(element instanceof Element)) return false
  if (element.isContentEditable || element.closest("dialog") != null) return true
  if (element.matches("textarea, select")) return true
  if (element.matches("input")) return !["checkbox", "radio", "range"].includes(element.type)
  if (element.matches("[role=slider]")) return HELD_SLIDER_KEYS.includes(event.key)
  return element.matches("button, a, [role=button], summary, input") &&
    [" ", "Enter"].includes(event.key)
}

function on_key(event) {
  touched = "key"
  if (is_for_another(event) || !keys.includes(event.key)) return
  event.preventDefault()
  event.stopPropagation()
  if (event.key == "?") return show_help()
  const name = "key " + event.key
  if (event.repeat) {
    held = name
    if (!waiting.has(name)) queue(name, {kind: "key", key: event.key, times: 1})
  } else {
    const before = waiting.get(name)
    queue(name, {kind: "key", key: event.key, times: (before?.times ?? 0) + 1})
  }
}

function on_release(event) {
  if (held == "key " + event.key) {
    waiting.delete(held)
    held = null
  }
}

const listening = is_whole_window ? document : page
listening.addEventListener("keydown", on_key)
listening.addEventListener("keyup", on_release)
page.addEventListener("pointerdown", () => { touched = "pointer" }, true)
page.tabIndex = is_whole_window ? -1 : 0
page.style.outlineOffset = "-2px"
// A notebook has its own meaning for single letters.
page.setAttribute("data-lm-suppress-shortcuts", "true")
page.setAttribute("role", is_whole_window ? "main" : "region")
page.setAttribute("aria-label", title)
document.documentElement.lang ||= "en"

// Help ---------------------------------------------------------------------------------------

function show_help() {
  const dialog = document.createElement("dialog")
  dialog.setAttribute("aria-labelledby", page_class + "-help")
  dialog.style.cssText = "max-width: min(90vw, 40rem); max-height: 85vh; overflow: auto; " +
    "font: 14px/1.5 system-ui, sans-serif; color: #1b1b1b; background: white; " +
    "border: 1px solid #6b6b6b; border-radius: 6px; padding: 1rem 1.5rem"
  const heading = document.createElement("h2")
  heading.id = page_class + "-help"
  heading.textContent = "Keys"
  heading.style.margin = "0 0 0.5rem"
  const close = document.createElement("button")
  close.textContent = "Close"
  close.autofocus = true
  close.style.cssText = "float: right; font: inherit; padding: 0.2rem 0.8rem"
  close.addEventListener("click", () => dialog.close())
  const table = document.createElement("table")
  table.style.borderSpacing = "0 0.15rem"
  for (const [names, what] of help) {
    const row = table.insertRow()
    const head = document.createElement("th")
    head.scope = "row"
    head.style.cssText = "text-align: left; vertical-align: top; padding-right: 1rem; " +
      "white-space: nowrap; font-weight: normal"
    for (const [place, name] of names.entries()) {
      if (place > 0) head.append(" ")
      const key = document.createElement("kbd")
      key.textContent = name
      key.style.cssText = "border: 1px solid #6b6b6b; border-radius: 3px; padding: 0 0.35em; " +
        "background: #f2f2f2"
      head.append(key)
    }
    row.append(head)
    row.insertCell().textContent = what
  }
  dialog.append(close, heading, table)
  dialog.addEventListener("close", () => { dialog.remove(); page.focus({preventScroll: true}) })
  dialog.addEventListener("keydown", (event) => event.stopPropagation())
  document.body.append(dialog)
  dialog.showModal()
}

up.data = {message: [JSON.stringify({number: 0, kind: "ready"})]}
