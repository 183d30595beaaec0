/* What every part of the page shares: the registry HX, small makers, the head of the page, and the one keyboard listener. */
(() => {
  "use strict";
  const HX = window.HX = window.HX || {};

  HX.clock = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds)), pad = (n) => String(n).padStart(2, "0");
    const h = Math.floor(whole / 3600), m = Math.floor(whole % 3600 / 60), s = whole % 60;
    return h ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
  };
  HX.make = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  HX.moment = (node) => ({
    id: node.dataset.id, start: Number(node.dataset.start), end: Number(node.dataset.end),
  });

  HX.blink = (node) => { node.classList.add("hx-done"); setTimeout(() => node.classList.remove("hx-done"), 1200); };

  /* ---- the head of the page: what was put away stays away while this tab is open */
  HX.header = (element, trigger, props, watch) => {
    HX.refresh = () => trigger("refresh", {});
    const away = () => JSON.parse(sessionStorage.getItem("hx-away") || "[]");
    const show = () => element.querySelectorAll("[data-news]").forEach((note) => { note.hidden = away().includes(note.dataset.news); });
    element.addEventListener("click", (event) => {
      if (!event.target.closest("[data-dismiss]")) return;
      const text = event.target.closest("[data-news]").dataset.news;
      sessionStorage.setItem("hx-away", JSON.stringify([...away(), text]));
      show();
    });
    watch("value", () => setTimeout(show));
    show();
  };

  /* ---- the address of the page names the search, so that it can be kept, sent to oneself, and found again after a restart */
  HX.link = (element, trigger, props, watch) => {
    const parts = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    const written = (value) => { const text = new URLSearchParams(value).toString(); return text ? `#${text}` : ""; };
    let own = location.hash;
    const show = () => {
      if (!props.value || props.value.skip) return;
      own = written(props.value);
      if (own !== location.hash) history.replaceState(null, "", own || location.pathname);
    };
    const restore = () => { own = location.hash; trigger("restore", parts()); };
    const typed = () => {        // what was in the box when the app went away
      let text = null;
      try { text = sessionStorage.getItem("hx-typed"); sessionStorage.removeItem("hx-typed"); } catch { return; }
      const box = HX.box();
      if (!text || !box) return;
      Object.getOwnPropertyDescriptor(Object.getPrototypeOf(box), "value").set.call(box, text);
      box.dispatchEvent(new Event("input", {bubbles: true}));
    };
    watch("value", show);
    window.addEventListener("hashchange", () => location.hash !== own && restore());
    if (Object.keys(parts()).length) restore(); else setTimeout(typed, 500);
  };

  /* ---- keyboard */
  const visibleAll = (selector) => [...document.querySelectorAll(selector)].filter((n) => n.offsetParent !== null);
  HX.visibleAll = visibleAll;

  const beyond = (from, cards, down) => {          // the nearest card above or below, in the same column where there is one
    const own = from.getBoundingClientRect();
    const cost = (card) => {
      const box = card.getBoundingClientRect(), way = (box.top - own.top) * down;
      return way > 4 ? way + (Math.abs(box.left - own.left) > own.width / 2 ? 1e6 : 0) : Infinity;
    };
    const best = cards.reduce((one, other) => cost(other) < cost(one) ? other : one);
    return cost(best) < Infinity ? best : from;
  };

  const move = (right, down) => {
    const cards = visibleAll(".hx-card"), from = document.activeElement.closest?.(".hx-card"), at = cards.indexOf(from);
    if (!cards.length) return;
    const beside = cards[Math.min(cards.length - 1, Math.max(0, at + right))];
    const card = at < 0 ? cards[0] : down ? beyond(from, cards, down) : beside;
    card.focus();
    card.scrollIntoView({block: "nearest"});
  };

  const tab = (name) => [...document.querySelectorAll("[role=tab]")].find((n) => n.textContent.trim() === name)?.click();
  HX.tab = tab;
  const focusSearch = () => { HX.leaveFullScreen?.(); tab("Search"); setTimeout(() => HX.box()?.select(), 60); };
  HX.box = () => document.querySelector("#hx-box textarea, #hx-box input");

  const player = (name) => () => HX.keys?.[name]();
  const KEYS = {
    "/": focusSearch, "?": () => { HX.leaveFullScreen?.(); tab("Help"); }, " ": player("toggle"), k: player("toggle"), j: player("skipBack"), l: player("skipOn"),
    ",": player("back"), ".": player("on"), "[": player("previous"), "]": player("next"), n: player("nextHit"), p: player("previousHit"),
    f: player("full"), r: player("loop"), "<": player("slower"), ">": player("faster"),
    ArrowRight: () => move(1, 0), ArrowLeft: () => move(-1, 0), ArrowDown: () => move(0, 1), ArrowUp: () => move(0, -1),
  };
  const TYPED = "textarea, select, [contenteditable=true], input:not([type=range]):not([type=checkbox]):not([type=radio]):not([type=button])";
  const ARROWS = "[role=tab], [role=slider], [role=menu], input[type=range], input[type=radio]";   // they move by arrows and Home, and nothing else of ours

  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = event.target, arrow = event.key.startsWith("Arrow");
    if (target.closest?.(TYPED)) {
      if (event.key === "Escape") target.blur();
      const single = target === HX.box() && !target.value.includes("\n");
      if (event.key === "ArrowDown" && single && visibleAll(".hx-card").length) { event.preventDefault(); move(0, 0); }
      return;
    }
    if (arrow && target.closest?.(ARROWS)) return;
    if (target === HX.video?.() && (event.key === " " || arrow)) return;   // the player's own keys
    const card = target.closest?.(".hx-card");
    if (event.key === "Enter" && card && target === card) return event.preventDefault(), card.click();
    if (event.key === " " && target.closest?.("button, summary, a, input, [role=tab]")) return;
    const found = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!found || (arrow && !visibleAll(".hx-card").length)) return;
    event.preventDefault();
    found();
  };
  if (!HX.listening) document.addEventListener("keydown", onKey);
  HX.listening = true;
})();
