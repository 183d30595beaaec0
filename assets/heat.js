/* A table of similarities as a heatmap: one absolute scale in which white is chance, numbers that can be read in every
   cell, cells that can be reached by keyboard, and the same drawn as SVG, PNG, CSV and JSON. */
(() => {
  "use strict";
  const HX = window.HX = window.HX || {};
  // Blue above chance, orange below: told apart by colour-blind eyes, and dark is more in a grey print.
  const ABOVE = [[0, [255, 255, 255]], [0.25, [205, 225, 243]], [0.5, [122, 174, 216]], [0.75, [45, 112, 178]], [1, [10, 56, 108]]];
  const BELOW = [[0, [255, 255, 255]], [1, [247, 190, 129]]];

  const mix = (stops, at) => {
    const upper = stops.findIndex(([place]) => place >= at), [b, to] = stops[Math.max(1, upper)], [a, from] = stops[Math.max(1, upper) - 1];
    return from.map((value, i) => Math.round(value + (to[i] - value) * (at - a) / (b - a)));
  };
  const light = ([r, g, b]) => {
    const linear = (v) => { const c = v / 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };

  /* The colour of a similarity and the ink that can be read on it (contrast of at least 4.5, whatever the colour). */
  HX.colour = (value, {chance, full}) => {
    const share = Math.max(-1, Math.min(1, (value - chance) / full)), back = share >= 0 ? mix(ABOVE, share) : mix(BELOW, -share);
    const shine = light(back), onWhite = 1.05 / (shine + 0.05), onBlack = (shine + 0.05) / 0.05;
    return {back: `rgb(${back.join(",")})`, ink: onBlack >= onWhite ? "#000" : "#fff", contrast: Math.max(onWhite, onBlack)};
  };

  const digits = (value) => value == null ? "" : value.toFixed(2).replace("0.", ".");
  const hover = (grid, row, column) => `${grid.rows[row]} · ${grid.columns[column].title}: similarity ${grid.values[row][column].toFixed(3)}, chance ${grid.scale.chance.toFixed(2)}`;

  const cell = (grid, row, column) => {
    const value = grid.values[row][column];
    const made = HX.make("td", {role: "gridcell", tabindex: "-1", "data-row": row, "data-column": column});
    if (value == null) return made;
    const {back, ink} = HX.colour(value, grid.scale);
    Object.assign(made.style, {background: back, color: ink});
    made.title = hover(grid, row, column);
    made.textContent = digits(value);
    made.setAttribute("aria-label", made.title);
    return made;
  };

  const picture = (column, index) => {
    const image = HX.make("img", {src: column.src, alt: "", title: `Play from ${column.title}`, loading: "lazy"});
    image.addEventListener("error", () => image.classList.add("hx-nostill"));
    return HX.make("td", {"data-column": index, class: "hx-still-cell"}, image);
  };

  const table = (grid) => {
    const row = (...cells) => HX.make("tr", {role: "row"}, ...cells);
    const stills = row(HX.make("td", {role: "presentation"}), ...grid.columns.map(picture));
    const lines = grid.rows.map((text, r) => row(
      HX.make("th", {role: "rowheader", scope: "row", title: text}, text), ...grid.columns.map((_, c) => cell(grid, r, c))));
    const times = row(HX.make("td", {role: "presentation"}), ...grid.columns.map((column, c) =>
      HX.make("th", {role: "columnheader", scope: "col", title: column.title, "data-column": c, class: "hx-when"}, ...column.lines.map((line) => HX.make("span", {}, line.replace("–", "–\u200b"))))));
    const many = grid.columns.length > 7 ? " hx-many" : "";      // times stand upright where columns are narrow
    return HX.make("table", {role: "grid", class: `hx-heat${many}`, style: `--hx-columns:${grid.columns.length}`, "aria-label": grid.title}, HX.make("tbody", {role: "presentation"}, stills, ...lines, times));
  };

  HX.legend = (scale) => {
    const steps = Array.from({length: 13}, (_, i) => HX.colour(scale.chance + scale.full * (i - 4) / 8, scale).back);
    const bar = HX.make("i", {style: `background:linear-gradient(90deg, ${steps.join(",")})`});
    const at = (share, text) => HX.make("span", {style: `left:${share}%`}, text);
    const told = "The same scale in every picture of this model: white is what an unrelated word or phrase reaches, blue is more, orange is less.";
    return HX.make("div", {class: "hx-legend", title: told, role: "img", "aria-label": told}, bar,
      at(33.3, `chance ${digits(scale.chance)}`), at(100, `${digits(scale.chance + scale.full)} and more`));
  };

  /* Draw a grid into a box. pick(row, column) is called for a chosen cell, still(column) for a chosen picture. */
  HX.heat = (box, grid, {pick, still}) => {
    const made = table(grid);
    const cells = () => [...made.querySelectorAll("[role=gridcell]")];
    const focus = (to) => { cells().forEach((one) => { one.tabIndex = one === to ? 0 : -1; }); to.focus(); };
    const choose = (to) => {
      cells().forEach((one) => one.classList.toggle("hx-picked", one === to));
      cells().forEach((one) => one.setAttribute("aria-selected", String(one === to)));
      pick(Number(to.dataset.row), Number(to.dataset.column));
    };
    made.addEventListener("click", (event) => {
      const chosen = event.target.closest("[role=gridcell]"), shown = event.target.closest(".hx-still-cell, .hx-when");
      if (chosen) { focus(chosen); choose(chosen); } else if (shown) still(Number(shown.dataset.column));
    });
    made.addEventListener("keydown", (event) => {
      const from = event.target.closest("[role=gridcell]"), step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
      if (!from || !(step || event.key === "Enter")) return;
      event.preventDefault();
      event.stopPropagation();
      if (!step) return choose(from);
      const to = made.querySelector(`[role=gridcell][data-row="${Number(from.dataset.row) + step[0]}"][data-column="${Number(from.dataset.column) + step[1]}"]`);
      if (to) focus(to);
    });
    if (cells().length) cells()[0].tabIndex = 0;
    box.replaceChildren(made, HX.legend(grid.scale));
    return made;
  };

  /* ---- the same picture and its numbers as files */
  const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  const dataUrl = async (src) => {
    const answer = await fetch(src), blob = await answer.blob();
    if (!answer.ok) return "";
    return new Promise((done) => { const reader = new FileReader(); reader.onload = () => done(reader.result); reader.readAsDataURL(blob); });
  };
  const SVG = new DOMParser().parseFromString("<svg></svg>", "text/html").body.firstChild.namespaceURI;   // the name every SVG file bears
  const wrap = (text, width) => text.length <= width ? text : `${text.slice(0, width - 1)}…`;

  HX.heatSvg = async (grid, title) => {
    const side = 92, left = 190, top = 34, picture = 58, row = 30, below = 14 * Math.max(...grid.columns.map((c) => c.lines.length)) + 52;
    const width = left + side * grid.columns.length + 16, height = top + picture + row * grid.rows.length + below;
    const stills = await Promise.all(grid.columns.map((column) => dataUrl(column.src).catch(() => "")));
    const text = (x, y, words, more = "") => `<text x="${x}" y="${y}" ${more}>${escape(words)}</text>`;
    const parts = [`<rect width="${width}" height="${height}" fill="#fff"/>`, text(12, 22, title, 'font-weight="600" font-size="14"')];
    grid.columns.forEach((column, c) => {
      const x = left + c * side;
      if (stills[c]) parts.push(`<image x="${x + 2}" y="${top}" width="${side - 4}" height="${picture - 6}" preserveAspectRatio="xMidYMid slice" href="${stills[c]}"/>`);
      column.lines.forEach((line, i) => parts.push(text(x + side / 2, top + picture + row * grid.rows.length + 16 + 14 * i, line, 'text-anchor="middle" font-size="11"')));
    });
    grid.rows.forEach((label, r) => {
      const y = top + picture + r * row;
      parts.push(`<g>${text(left - 10, y + 19, wrap(label, 26), 'text-anchor="end"')}<title>${escape(label)}</title></g>`);
      grid.columns.forEach((_, c) => {
        const value = grid.values[r][c];
        if (value == null) return;
        const {back, ink} = HX.colour(value, grid.scale), x = left + c * side;
        parts.push(`<g><rect x="${x + 1}" y="${y + 1}" width="${side - 2}" height="${row - 2}" fill="${back}" stroke="#d5dbe3" stroke-width=".5"/>`,
          text(x + side / 2, y + 19, digits(value), `text-anchor="middle" fill="${ink}"`), `<title>${escape(hover(grid, r, c))}</title></g>`);
      });
    });
    const base = height - 30, wide = Math.min(240, width - left - 16);
    for (let i = 0; i < 12; i++) parts.push(`<rect x="${left + wide * i / 12}" y="${base}" width="${wide / 12 + 0.5}" height="9" fill="${HX.colour(grid.scale.chance + grid.scale.full * (i - 3.5) / 8, grid.scale).back}"/>`);
    parts.push(text(left + wide / 3, base + 22, `chance ${digits(grid.scale.chance)}`, 'text-anchor="middle" font-size="11"'),
      text(left + wide, base + 22, `${digits(grid.scale.chance + grid.scale.full)} and more`, 'text-anchor="end" font-size="11"'));
    return `<svg xmlns="${SVG}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="13" fill="#101828">${parts.join("")}</svg>`;
  };

  const png = (svg) => new Promise((done, failed) => {
    const image = new Image();
    image.onload = () => {
      const canvas = HX.make("canvas", {width: 2 * image.width, height: 2 * image.height}), context = canvas.getContext("2d");
      context.scale(2, 2);
      context.drawImage(image, 0, 0);
      canvas.toBlob((blob) => blob ? done(blob) : failed(new Error("the picture cannot be made")), "image/png");
    };
    image.onerror = () => failed(new Error("the picture cannot be drawn"));
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  });

  HX.heatCsv = (grid) => {
    const quote = (text) => `"${(/^[=+\-@\t]/.test(text) ? `'${text}` : text).replace(/"/g, '""')}"`;   // a table program must not run a phrase
    const head = [grid.corner, ...grid.columns.map((column) => column.title)].map(quote).join(",");
    return [head, ...grid.rows.map((row, r) => [quote(row), ...grid.values[r].map((v) => v ?? "")].join(","))].join("\r\n") + "\r\n";
  };

  HX.save = (blob, name) => {
    const link = HX.make("a", {href: URL.createObjectURL(blob), download: name});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };

  HX.heatFile = async (form, grid, about) => {
    const name = `${about.name || "alignment"} ${grid.name}.${form}`.replace(/[\\/:*?"<>|]+/g, "_"), title = `“${about.query}” in ${about.name}, ${about.span}`;
    const text = (words, type) => HX.save(new Blob([words], {type}), name);
    if (form === "csv") return text(HX.heatCsv(grid), "text/csv;charset=utf-8");
    if (form === "json") return text(JSON.stringify({...about, ...grid, columns: grid.columns.map(({src, ...rest}) => rest)}, null, 1), "application/json");
    const svg = await HX.heatSvg(grid, title);
    return form === "svg" ? text(svg, "image/svg+xml") : HX.save(await png(svg), name);
  };
})();
