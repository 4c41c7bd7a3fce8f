// Loads the page again when its connection was lost, as soon as the server answers.
//
// Bokeh connects again by itself, but pulls a document without its arrays, and a step that was under
// way is never answered: keys would do nothing from then on. The address has all that is shown.

function load_again(wait) {
  // This address leads to the page, and makes none.
  const address = location.origin + location.pathname.replace(/\/$/, "")
  fetch(address, {redirect: "manual", cache: "no-store"}).then(
    () => location.reload(),
    () => setTimeout(load_again, wait, Math.min(2 * wait, 30000)),
  )
}

if (!window.dkv_is_loading_again) {
  window.dkv_is_loading_again = true
  load_again(1000)
}
