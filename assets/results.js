/* The search side: cards, phrase chips, level sliders, the bar of tools, and small panels with buttons. */
(() => {
  "use strict";
  const HX = window.HX = window.HX || {};
  const PREVIEW = 420;           // ms a still stays while the pointer rests on a card
  const REST = 250;              // ms the pointer rests on a card before its stills are asked for
  const REACH = 4;               // stills shown on each side where the window's own frames are not known
  const SIDE = 384;              // px of the longer side of a picture sent as a question

  /* ---- cards */
  const frames = (card) => {
    const first = Number(card.dataset.first), count = Number(card.dataset.count), still = Number(card.dataset.still);
    const from = count ? first : Math.max(0, still - REACH), length = count || 2 * REACH;
    return Array.from({length}, (_, i) => from + i);
  };

  const preview = (card) => {
    const image = card.querySelector("img"), own = image.getAttribute("src"), all = frames(card);
    const ask = (frame) => { const probe = new Image(); probe.onload = () => ready.push(probe.src); probe.src = frame; };
    const ready = [];
    const resting = setTimeout(() => all.forEach((frame) => ask(`/still/${encodeURIComponent(card.dataset.id)}/${frame}`)), REST);
    let at = 0;
    const timer = setInterval(() => {
      const sorted = ready.slice().sort((a, b) => Number(a.split("/").pop()) - Number(b.split("/").pop()));
      if (sorted.length > 1) image.src = sorted[at++ % sorted.length];
    }, PREVIEW);
    return () => { clearTimeout(resting); clearInterval(timer); image.setAttribute("src", own); };
  };

  const hover = (element) => {
    let stop = null, over = null;
    const leave = () => { if (stop) stop(); stop = over = null; };
    element.addEventListener("pointerover", (event) => {
      const card = event.target.closest(".hx-still")?.closest(".hx-card");
      if (card === over) return;
      leave();
      if (card && event.pointerType !== "touch") { over = card; stop = preview(card); }
    });
    element.addEventListener("pointerleave", leave);
    return leave;
  };

  const choose = (element, node) => {
    element.querySelectorAll(".hx-chosen").forEach((n) => { n.classList.remove("hx-chosen"); n.setAttribute("aria-current", "false"); });
    const card = node.closest(".hx-card");
    card.classList.add("hx-chosen");
    card.setAttribute("aria-current", "true");
  };

  HX.grid = (element, trigger, props, watch) => {
    const leave = hover(element);
    element.addEventListener("click", (event) => {
      const example = event.target.closest("[data-example]");
      if (example) return trigger("example", {text: example.dataset.example});
      const tab = event.target.closest("[data-tab]");
      if (tab) return HX.tab(tab.dataset.tab);
      const begin = event.target.closest("[data-begin]");
      if (begin) return trigger("begin", {what: begin.dataset.begin});
      const filter = event.target.closest("[data-filter]");
      if (filter) return trigger("filter", {name: filter.dataset.filter, value: filter.dataset.value});
      if (event.target.closest("[data-more]")) return more(event.target.closest("[data-more]"));
      if (event.target.closest("summary")) return;
      const cue = event.target.closest("[data-cue]");
      if (cue) { const place = HX.moment(cue); return HX.play(place.id, place.start, place.end); }
      const undo = event.target.closest(".hx-undo");
      if (undo) return trigger("undo", HX.moment(undo));
      const node = event.target.closest(".hx-moment, .hx-card");
      if (!node) return;
      const place = HX.moment(node);
      place.second = node.closest(".hx-column")?.dataset.second === "true";
      choose(element, node);
      document.querySelector(".hx-side")?.scrollTo({top: 0});
      if (window.innerWidth <= 760) document.getElementById("hx-player")?.scrollIntoView({block: "center"});
      HX.play(place.id, place.start, place.end);
      trigger("open", place);
    });
    element.addEventListener("error", (event) => {
      if (event.target.tagName === "IMG") event.target.classList.add("hx-nostill");
    }, true);
    element.addEventListener("change", (event) => event.target.tagName === "SELECT" && trigger("arrange", {[event.target.name]: event.target.value}));
    const more = (button) => { if (button.disabled) return; button.disabled = true; button.textContent = "Searching for more…"; trigger("more", {}); };
    const seen = new IntersectionObserver((entries) => entries.forEach((one) => one.isIntersecting && scrolled && more(one.target)));
    let scrolled = false;          // only a person who scrolls wants more
    window.addEventListener("scroll", () => { scrolled = true; }, {passive: true});
    const follow = () => { leave(); scrolled = false; setTimeout(() => element.querySelectorAll("[data-more]").forEach((button) => seen.observe(button))); };
    watch("value", follow);
    follow();
  };

  /* ---- phrase chips: click is off and on; the menu weighs or excludes */
  const WEIGHTS = [["Off", 0], ["Half", 0.5], ["Normal", 1], ["Double", 2], ["Triple", 3], ["Exclude", -1]];

  const menu = (chip, pick) => {
    document.querySelector(".hx-menu")?.remove();
    const box = HX.make("div", {class: "hx-menu", role: "menu"});
    const add = (text, action, checked) => {
      const item = HX.make("button", {type: "button", role: "menuitemradio", "aria-checked": String(checked)}, text);
      item.addEventListener("click", () => { box.remove(); pick(action); });
      box.append(item);
    };
    WEIGHTS.forEach(([text, weight]) => add(text, {weight}, Number(chip.dataset.weight) === weight));
    const at = chip.getBoundingClientRect();
    box.style.left = `${at.left + window.scrollX}px`;
    box.style.top = `${at.bottom + window.scrollY + 4}px`;
    document.body.append(box);
    box.firstChild.focus();
    const close = (event) => {
      if (event.type === "keydown" && event.key !== "Escape") return;
      if (event.type === "pointerdown" && box.contains(event.target)) return;
      box.remove();
      ["pointerdown", "keydown"].forEach((name) => document.removeEventListener(name, close));
    };
    setTimeout(() => ["pointerdown", "keydown"].forEach((name) => document.addEventListener(name, close)));
  };

  HX.chips = (element, trigger) => {
    const weigh = (chip, change) => trigger("weigh", {phrase: chip.dataset.phrase, ...change});
    element.addEventListener("click", (event) => {
      const unfilter = event.target.closest("[data-unfilter]");
      if (unfilter) return trigger("weigh", {filter: unfilter.dataset.unfilter});
      const jump = event.target.closest("[data-jump]"), excluded = event.target.closest("[data-excluded]");
      const chip = event.target.closest(".hx-chip");
      if (jump) return HX.jump(Number(jump.dataset.jump));
      if (excluded) return trigger("weigh", {allow: excluded.dataset.excluded});
      if (!chip) return;
      if (event.target.closest(".hx-more") || event.altKey) return menu(chip, (change) => weigh(chip, change));
      weigh(chip, {weight: Number(chip.dataset.weight) > 0 ? 0 : 1});
    });
    element.addEventListener("contextmenu", (event) => {
      const chip = event.target.closest(".hx-chip[data-phrase]");
      if (!chip) return;
      event.preventDefault();
      menu(chip, (change) => weigh(chip, change));
    });
  };

  /* ---- level sliders */
  HX.weights = (element, trigger, props, watch) => {
    const inputs = () => [...element.querySelectorAll("input[type=range]")];
    const share = () => {
      const values = inputs().map((input) => Number(input.value)), sum = values.reduce((a, b) => a + b, 0);
      element.querySelectorAll("output").forEach((out, i) => { out.textContent = sum ? `${Math.round(100 * values[i] / sum)}%` : "–"; });
      return sum;
    };
    let timer = 0;
    element.addEventListener("input", () => {
      const sum = share();
      clearTimeout(timer);
      if (sum > 0) timer = setTimeout(() => trigger("weigh", Object.fromEntries(inputs().map((i) => [i.name, Number(i.value)]))), 80);
    });
    const restore = () => { inputs().forEach((input) => { input.value = input.getAttribute("value"); }); share(); };
    element.addEventListener("click", (event) => {
      if (!event.target.closest("[data-reset]")) return;
      restore();
      trigger("weigh", {reset: true});
    });
    watch("value", restore);
    share();
  };

  /* ---- a picture as a question: the browser decodes it, the app receives plain pixels */
  const pixels = async (file) => {
    const bitmap = await createImageBitmap(file), scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
    const width = Math.max(1, Math.round(bitmap.width * scale)), height = Math.max(1, Math.round(bitmap.height * scale));
    const canvas = HX.make("canvas", {width, height}), context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0, width, height);
    const rgba = context.getImageData(0, 0, width, height).data, rgb = new Uint8Array(width * height * 3);
    for (let i = 0, j = 0; i < rgba.length; i += 4) { rgb[j++] = rgba[i]; rgb[j++] = rgba[i + 1]; rgb[j++] = rgba[i + 2]; }
    let text = "";
    for (let i = 0; i < rgb.length; i += 32768) text += String.fromCharCode(...rgb.subarray(i, i + 32768));
    return {width, height, rgb: btoa(text)};
  };

  HX.tools = (element, trigger) => {
    const ask = async (file) => {
      if (!file || !file.type.startsWith("image/")) return;
      try { trigger("image", await pixels(file)); } catch { trigger("image", {problem: "unreadable"}); }
    };
    element.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-tool]");
      if (!button) return;
      button.closest("details")?.removeAttribute("open");
      if (button.dataset.tool === "image") return element.querySelector("input[type=file]").click();
      trigger("tool", {tool: button.dataset.tool, value: button.dataset.value || ""});
    });
    element.addEventListener("change", (event) => {
      if (event.target.type === "file") { ask(event.target.files[0]); event.target.value = ""; }
      if (event.target.tagName === "SELECT") trigger("tool", {tool: event.target.name, value: event.target.value});
    });
    const showing = () => element.offsetParent !== null;
    document.addEventListener("paste", (event) => showing() && ask([...event.clipboardData.files][0]));
    document.addEventListener("dragover", (event) => showing() && event.preventDefault());
    document.addEventListener("drop", (event) => {
      if (!showing() || !event.dataTransfer.files.length) return;
      event.preventDefault();
      ask(event.dataTransfer.files[0]);
    });
    document.addEventListener("pointerdown", (event) => element.querySelectorAll("details[open]").forEach(
      (box) => box.contains(event.target) || box.removeAttribute("open")));
  };

  /* ---- a panel whose buttons say data-act and data-value; a field named in data-from is sent along */
  HX.panel = (element, trigger) => {
    element.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-act]");
      if (!button) return;
      if (button.dataset.confirm && !window.confirm(button.dataset.confirm)) return;
      const field = button.dataset.from ? element.querySelector(`[name="${button.dataset.from}"]`) : null;
      trigger("act", {action: button.dataset.act, value: button.dataset.value || "", field: field ? field.value : ""});
    });
    element.addEventListener("keydown", (event) => {
      const field = event.target.closest("input[data-enter]");
      if (field && event.key === "Enter") trigger("act", {action: field.dataset.enter, value: "", field: field.value});
    });
  };
})();
