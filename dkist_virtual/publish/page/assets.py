"""Define the style and the script that are in every page, and the policy that allows no others."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

__all__ = ["POLICY", "SCRIPT", "STYLE"]

STYLE: Final = """
:root { color-scheme: light dark; --back: #fbfbf9; --card: #ffffff; --ink: #1c1e21; --soft: #4d545c;
  --edge: #c9ced4; --link: #0b57a4; --code: #f0f1ee; }
@media (prefers-color-scheme: dark) {
  :root { --back: #14171a; --card: #1d2125; --ink: #eceef0; --soft: #b3bac2; --edge: #454c54;
    --link: #8cc2ff; --code: #14171a; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1rem; background: var(--back); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
a { color: var(--link); }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0.5rem 0; }
h2 { font-size: 1.15rem; margin: 0 0 0.25rem; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { position: static; }
.soft { color: var(--soft); }
form { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 0.75rem;
  align-items: end; border: 1px solid var(--edge); border-radius: 0.5rem; padding: 0.75rem; }
form[hidden], button[hidden] { display: none; }
label { display: block; font-size: 0.9rem; }
input, select, button { display: block; width: 100%; font: inherit; color: var(--ink);
  background: var(--card); border: 1px solid var(--soft); border-radius: 0.3rem;
  padding: 0.35rem 0.5rem; min-height: 2.5rem; }
button { cursor: pointer; }
article { background: var(--card); border: 1px solid var(--edge); border-radius: 0.5rem;
  padding: 1rem; margin: 1rem 0; display: grid; gap: 1rem;
  grid-template-columns: minmax(10rem, 20rem) minmax(0, 1fr); }
article[hidden] { display: none; }
figure { margin: 0; }
img { max-width: 100%; height: auto; display: block; background: var(--code); }
figcaption { font-size: 0.85rem; color: var(--soft); margin-top: 0.35rem; }
.none { display: grid; place-items: center; min-height: 9rem; padding: 0.75rem; text-align: center;
  border: 1px dashed var(--soft); color: var(--soft); font-size: 0.9rem; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.1rem 0.9rem;
  margin: 0.25rem 0 0.75rem; }
dt { color: var(--soft); }
dd { margin: 0; }
pre { margin: 0; padding: 0.6rem 0.75rem; overflow-x: auto; background: var(--code);
  border: 1px solid var(--edge); border-radius: 0.3rem; font: 0.9rem/1.45 ui-monospace, monospace; }
.copy { width: auto; margin: 0.4rem 0; }
ul.links, ol.pages { list-style: none; display: flex; flex-wrap: wrap; gap: 0.25rem 1rem;
  padding: 0; margin: 0.5rem 0 0; }
@media (max-width: 40rem) {
  article { grid-template-columns: minmax(0, 1fr); }
  dl { grid-template-columns: minmax(0, 1fr); }
  dd { margin-bottom: 0.3rem; }
}
"""

SCRIPT: Final = """
"use strict";
(() => {
  const form = document.getElementById("filter");
  const cards = Array.from(document.querySelectorAll("article"));
  const texts = cards.map((card) => card.textContent.toLowerCase());
  const said = document.getElementById("said");
  const found = document.getElementById("found");
  const value = (name) => form.elements[name].value.trim();

  const wanted = () => ({
    words: value("text").toLowerCase().split(/\\s+/).filter(Boolean),
    instrument: value("instrument"),
    line: value("line"),
    from: value("from"),
    to: value("to"),
  });
  const fits = (asked, text, instrument, lines, start, end) =>
    asked.words.every((word) => text.includes(word)) &&
    (!asked.instrument || instrument === asked.instrument) &&
    (!asked.line || lines.includes(asked.line)) &&
    (!asked.from || (end && end.slice(0, 10) >= asked.from)) &&
    (!asked.to || (start && start.slice(0, 10) <= asked.to));

  const filter = () => {
    const asked = wanted();
    let n = 0;
    cards.forEach((card, i) => {
      const has = card.dataset;
      const lines = JSON.parse(has.lines);
      card.hidden = !fits(asked, texts[i], has.instrument, lines, has.start, has.end);
      n += !card.hidden;
    });
    said.textContent = `${n} of ${cards.length} datasets on this page`;
    found.replaceChildren();
  };

  const years = JSON.parse(form.dataset.years);
  const search = async () => {
    const asked = wanted();
    const rows = [];
    said.textContent = "Searching…";
    try {
      for (const [year, file] of years) {
        if (year && ((asked.from && year < asked.from.slice(0, 4)) ||
                     (asked.to && year > asked.to.slice(0, 4)))) continue;
        const answer = await fetch(file);
        if (!answer.ok) throw new Error(`${file}: ${answer.status}`);
        for (const row of await answer.json()) {
          const [instrument, lines, start, end] = row.slice(3);
          const text = row.slice(2).flat().join(" ").toLowerCase();
          if (fits(asked, text, instrument, lines, start, end)) rows.push(row);
        }
      }
    } catch (error) {
      said.textContent = "The other pages can be searched only where this page is on a web server" +
        ` (${error.message}).`;
      return;
    }
    const shown = rows.slice(0, 500).map((row) => {
      const [page, anchor, name, instrument, lines, start, , more] = row;
      const link = document.createElement("a");
      link.href = `${form.dataset.pages}${encodeURIComponent(page)}#${encodeURIComponent(anchor)}`;
      link.textContent = name;
      const item = document.createElement("li");
      const rest = [instrument, lines.join(", "), start, more].filter(Boolean);
      item.append(link, ` ${rest.join(" · ")}`);
      return item;
    });
    found.replaceChildren(...shown);
    const part = shown.length < rows.length ? `, the first ${shown.length} of them below` : "";
    said.textContent = `${rows.length} datasets on all pages${part}`;
  };

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (years.length) search(); else filter();
  });
  form.addEventListener("reset", () => setTimeout(filter));
  form.hidden = false;

  for (const card of cards) {
    const code = card.querySelector("code");
    const copy = card.querySelector("button.copy");
    if (code.dataset.store) {
      const address = new URL(code.dataset.store, document.baseURI);
      const local = address.protocol === "file:";
      const place = local ? decodeURIComponent(address.pathname) : address.href;
      code.querySelector("span").textContent = JSON.stringify(place);
    }
    if (!navigator.clipboard) continue;
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(code.textContent);
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy"; }, 2000);
    });
  }
})();
"""


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


POLICY: Final = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'"
)
"""Content-Security-Policy: this style, this script, pictures and rows of the same server."""
