// Says what a page of Bokeh draws, and when. It runs in each page before the page's own scripts.
(() => {
  const probe = (window.probe = {received: 0, messages: 0, keys: 0, errors: [], sockets: []});

  // What the server sends: payloads of websocket messages.
  const Real = window.WebSocket;
  window.WebSocket = class extends Real {
    constructor(...given) {
      super(...given);
      probe.sockets.push(this);
      this.addEventListener("message", ({data}) => {
        probe.messages += 1;
        probe.received += typeof data === "string" ? data.length : data.byteLength ?? data.size;
      });
    }
  };
  // A browser tells a page so that it lays out once more in the next frame, and its console nothing.
  const later = "ResizeObserver loop completed with undelivered notifications.";
  window.addEventListener("error", ({message}) => {
    if (message !== later) probe.errors.push(String(message));
  });
  window.addEventListener("unhandledrejection", (event) => probe.errors.push(String(event.reason)));

  // Elements, through the shadow DOMs that Bokeh and Panel put everything into.
  probe.all = (selector, root = document) => {
    const found = [...root.querySelectorAll(selector)];
    for (const element of root.querySelectorAll("*"))
      if (element.shadowRoot) found.push(...probe.all(selector, element.shadowRoot));
    return found;
  };
  probe.text = (root = document.body) => {
    let said = "";
    for (const node of root.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) said += node.data;
      else if (node.nodeType === Node.ELEMENT_NODE) {
        if (["SCRIPT", "STYLE", "LINK"].includes(node.tagName)) continue;
        const {display, visibility} = getComputedStyle(node);
        if (display === "none" || visibility === "hidden") continue;
        said += "\n" + (node.shadowRoot ? probe.text(node.shadowRoot) : "") + probe.text(node);
      }
    }
    return said.replace(/\s*\n\s*/g, "\n");
  };
  probe.focused = () => {
    let element = document.activeElement;
    while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    return element;
  };

  // Bokeh's models and their views.
  probe.models = () => (window.Bokeh?.documents ?? []).flatMap((doc) => [...doc._all_models.values()]);
  probe.model = (name) => probe.models().find((model) => model.name === name);
  const seen = function* (view) {
    yield view;
    for (const child of view.children?.() ?? []) yield* seen(child);
  };
  probe.view = (name) => {
    for (const root of window.Bokeh?.index?.roots ?? [])
      for (const view of seen(root)) if (view.model.name === name) return view;
    return null;
  };
  const figure = (name) => {
    const view = probe.view(name);
    if (view === null) throw new Error(`no figure ${name} on the page`);
    return view;
  };
  // From the coordinates of a figure to those of the window, and back.
  probe.at = (name, x, y) => {
    const view = figure(name), {left, top} = view.canvas_view.el.getBoundingClientRect();
    return [left + view.frame.x_scale.compute(x), top + view.frame.y_scale.compute(y)];
  };
  probe.frame = (name) => {
    const view = figure(name), {left, top} = view.canvas_view.el.getBoundingClientRect();
    const {x, y, width, height} = view.frame.bbox;
    return {left: left + x, top: top + y, width, height};
  };
  probe.ranges = (name) => {
    const {x_range: x, y_range: y} = figure(name).frame;
    return [x.start, x.end, y.start, y.end];
  };
  probe.idle = () =>
    (window.Bokeh?.documents ?? []).length > 0 && window.Bokeh.documents.every((doc) => doc.is_idle);

  // A number for the pixels drawn in a figure's frame: every 4th one of every 4th row.
  const small = document.createElement("canvas");
  const context = small.getContext("2d", {willReadFrequently: true});
  probe.drawn = (name) => {
    const view = probe.view(name);
    const canvas = view?.canvas_view?.primary?.canvas;
    const box = view?.frame?.bbox;
    if (!canvas || !box || box.width < 8 || box.height < 8) return null;
    const ratio = canvas.width / canvas.clientWidth || 1;
    small.width = Math.floor(box.width / 4);
    small.height = Math.floor(box.height / 4);
    context.imageSmoothingEnabled = false;
    const {x, y, width, height} = box;
    context.drawImage(canvas, x * ratio, y * ratio, width * ratio, height * ratio,
                      0, 0, small.width, small.height);
    const words = new Uint32Array(context.getImageData(0, 0, small.width, small.height).data.buffer);
    let sum = 2166136261;
    const colours = new Set();
    for (const word of words) {
      sum = Math.imul(sum ^ word, 16777619) >>> 0;
      if (colours.size < 64) colours.add(word);
    }
    return {sum, colours: colours.size};
  };

  // The numbers of all figures that have a name.
  probe.pictures = () =>
    probe.models()
      .filter((model) => model.name && model.frame_width !== undefined)
      .map((model) => probe.drawn(model.name)?.sum)
      .join();

  // How long it takes from the next event of a type until other pixels are on the screen. Each
  // frame of the browser is looked at; after one that differs another frame is waited for, before
  // which the browser has painted it. `last` is when the pixels changed last.
  probe.watch = (name, type) => {
    const watched = (probe.watched = {name, before: null, began: null, first: null, last: null,
                                      sum: null, bytes: 0});
    const looks = () => {
      if (probe.watched !== watched) return;
      const now = performance.now();
      if (watched.seen) {
        watched.first ??= now - watched.began;
        watched.last = now - watched.began;
        watched.bytes = probe.received - watched.received;
        watched.seen = false;
      }
      const drawn = probe.drawn(name);
      if (drawn !== null && drawn.sum !== watched.sum) {
        watched.sum = drawn.sum;
        watched.seen = true;
      }
      requestAnimationFrame(looks);
    };
    watched.before = watched.sum = probe.drawn(name)?.sum ?? null;
    const begin = () => {
      watched.began = performance.now();
      watched.received = probe.received;
      requestAnimationFrame(looks);
    };
    if (type) window.addEventListener(type, begin, {capture: true, once: true});
    else begin();
  };

  // When a picture was first on the screen, since the page was asked for.
  probe.loaded = null;
  const looks = () => {
    if (probe.loaded !== null) return;
    for (const {name} of probe.models()) {
      if (!probe.first?.test(name ?? "")) continue;
      if ((probe.drawn(name)?.colours ?? 0) >= 6)
        requestAnimationFrame(() => (probe.loaded ??= performance.now()));
    }
    requestAnimationFrame(looks);
  };
  probe.first = /picture/;
  requestAnimationFrame(looks);
})();
