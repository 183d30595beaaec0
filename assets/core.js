/* What every part of the page shares: the registry HX, the player that jumps, and the one keyboard listener. */
(() => {
  "use strict";
  const FRAME = 1 / 25;          // seconds one press of , or . moves: one frame of most footage
  const SKIP = 5;                // seconds J and L move
  const POLL = 700;              // ms between two looks at the making of a playable copy
  const CANNOT = "This file cannot be played here; open it in your own player.";
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
  HX.video = () => document.getElementById("hx-video");
  HX.moment = (node) => ({
    id: node.dataset.id, start: Number(node.dataset.start), end: Number(node.dataset.end),
  });

  /* ---- the player: one <video>, told what to show by a card, a chart or the server */
  const now = {id: "", start: 0, end: 0, wanted: 0};

  const cover = (text, share) => {
    const box = document.querySelector(".hx-cover");
    if (!box) return;
    box.hidden = !text;
    box.querySelector("p").textContent = text || "";
    const bar = box.querySelector("progress");
    bar.hidden = share === undefined;
    if (share !== undefined) bar.value = share;
  };

  const attach = (id, start, autoplay) => {
    const video = HX.video();
    cover("");
    video.hidden = false;
    video.src = `/media/${encodeURIComponent(id)}`;
    video.addEventListener("loadedmetadata", () => seek(start, autoplay), {once: true});
    video.load();
  };

  const seek = (time, autoplay) => {
    const video = HX.video();
    video.currentTime = Math.min(time, Math.max(0, (video.duration || time) - 0.05));
    if (autoplay) video.play().catch(() => {});
  };

  const prepare = async (id, start, autoplay, turn) => {
    let state = {state: "ready"};
    try {
      const answer = await fetch(`/media/${encodeURIComponent(id)}/state`, {headers: {accept: "application/json"}});
      state = await answer.json();
    } catch { /* the app was stopped: the video element will say so */ }
    if (turn !== now.wanted) return;
    if (state.state === "ready") return attach(id, start, autoplay);
    if (state.state === "failed") return cover(state.message || CANNOT);
    cover(state.message || "Making a copy this browser can play", Number(state.progress) || 0);
    setTimeout(() => turn === now.wanted && prepare(id, start, autoplay, turn), POLL);
  };

  HX.play = (id, start, end, autoplay = true) => {
    const video = HX.video();
    if (!video || !id) return;
    const same = now.id === id && video.readyState > 0 && !video.error;
    Object.assign(now, {id, start, end, wanted: now.wanted + 1});
    if (same) return seek(start, autoplay);
    video.pause();
    cover("Opening…");
    prepare(id, start, autoplay, now.wanted);
  };
  HX.jump = (start, end = start) => HX.play(now.id, start, end);

  HX.player = (element, trigger, props, watch) => {
    const video = element.querySelector("video");
    const show = () => {
      const value = props.value || {};
      element.classList.toggle("hx-empty", !value.id);
      element.querySelector(".hx-title").textContent = value.title || "";
      element.querySelector(".hx-title").title = value.path || "";
      element.querySelectorAll("[data-act=good], [data-act=bad]").forEach((thumb) =>
        thumb.setAttribute("aria-pressed", String(thumb.dataset.act === value.judged)));
      const other = value.id !== now.id || Math.abs(value.start - now.start) > 0.01;
      if (!value.id) { video.pause(); Object.assign(now, {id: "", wanted: now.wanted + 1}); }
      if (value.id && value.load && other)
        HX.play(value.id, value.start, value.end, false);
    };
    element.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-act]");
      if (!button) return;
      const act = button.dataset.act;
      if (HX.keys[act]) return HX.keys[act]();
      trigger("act", {action: act, id: now.id, time: video.currentTime || now.start});
      if (act === "good" || act === "bad") HX.blink(button);
    });
    video.addEventListener("error", () => now.id && video.getAttribute("src") &&
      cover(CANNOT));
    video.addEventListener("timeupdate", () => HX.mark && HX.mark(video.currentTime));
    watch("value", show);
    show();
  };
  HX.blink = (node) => { node.classList.add("hx-done"); setTimeout(() => node.classList.remove("hx-done"), 1200); };

  /* ---- the head of the page: what was put away stays away while this tab is open */
  HX.header = (element, trigger, props, watch) => {
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

  /* ---- keyboard */
  const step = (seconds) => { const v = HX.video(); if (v) { v.pause(); v.currentTime = Math.max(0, v.currentTime + seconds); } };
  const toggle = () => { const v = HX.video(); if (v) v.paused ? v.play().catch(() => {}) : v.pause(); };
  const visibleAll = (selector) => [...document.querySelectorAll(selector)].filter((n) => n.offsetParent !== null);

  const turn = (by) => {
    const all = visibleAll(".hx-card, .hx-moment");
    const here = (n) => n.dataset.id === now.id && Math.abs(Number(n.dataset.start) - now.start) < 0.01;
    const own = all.findIndex((n) => here(n) && n.closest(".hx-chosen")), at = own >= 0 ? own : all.findIndex(here);
    const next = all[Math.min(all.length - 1, Math.max(0, at + by))];
    if (next) { next.click(); next.scrollIntoView({block: "nearest"}); }
  };

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
  const focusSearch = () => { tab("Search"); setTimeout(() => HX.box()?.select(), 60); };
  HX.box = () => document.querySelector("#hx-box textarea, #hx-box input");

  HX.keys = {
    previous: () => turn(-1), next: () => turn(1), back: () => step(-FRAME), on: () => step(FRAME), toggle,
  };
  const KEYS = {
    "/": focusSearch, "?": () => tab("Help"), " ": toggle, k: toggle, j: () => step(-SKIP), l: () => step(SKIP),
    ",": HX.keys.back, ".": HX.keys.on, "[": HX.keys.previous, "]": HX.keys.next,
    ArrowRight: () => move(1, 0), ArrowLeft: () => move(-1, 0), ArrowDown: () => move(0, 1), ArrowUp: () => move(0, -1),
  };
  const OWN = "input, textarea, select, [contenteditable=true], [role=tab], [role=slider]";

  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = event.target, typing = target.closest?.(OWN);
    if (typing) {
      if (event.key === "Escape") target.blur();
      const single = target === HX.box() && !target.value.includes("\n");
      if (event.key === "ArrowDown" && single && visibleAll(".hx-card").length) { event.preventDefault(); move(0, 0); }
      return;
    }
    if (target === HX.video() && (event.key === " " || event.key.startsWith("Arrow"))) return;   // the player's own keys
    const card = target.closest?.(".hx-card");
    if (event.key === "Enter" && card && target === card) return event.preventDefault(), card.click();
    if (event.key === " " && target.closest?.("button, summary, a")) return;
    const found = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const needsCards = event.key.startsWith("Arrow");
    if (!found || (needsCards && !visibleAll(".hx-card").length)) return;
    event.preventDefault();
    found();
  };
  if (!HX.listening) document.addEventListener("keydown", onKey);
  HX.listening = true;
})();
