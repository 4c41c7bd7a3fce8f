// Copy a text, or this page's address with the text as its query, and say so on the button.
const {origin, pathname} = window.location
const copied = whole ? `${origin}${pathname}${text.text}` : text.text
const say = (done) => {
  button.label = done ? "Copied" : "Not copied: select the text"
  setTimeout(() => { button.label = label }, 1500)
}
const select = () => {
  // Where the page is not served from this machine, browsers keep the clipboard to themselves.
  const area = document.createElement("textarea")
  area.value = copied
  area.style.position = "fixed"
  area.style.opacity = "0"
  document.body.append(area)
  area.select()
  const done = document.execCommand("copy")
  area.remove()
  return done
}
if (navigator.clipboard === undefined) {
  say(select())
} else {
  navigator.clipboard.writeText(copied).then(() => say(true), () => say(select()))
}
