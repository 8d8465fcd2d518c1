"use strict";
(function () {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const config = { displayModeBar: false, displaylogo: false, responsive: true, plotlyServerURL: "", scrollZoom: false };
  const byKey = (key) => document.querySelector('[data-figure="' + key + '"]');
  const font = { color: "#1b2733", size: 13 };

  function drawChart(key) {
    const box = byKey(key);
    if (box) Plotly.newPlot(box, data.charts[key].data, data.charts[key].layout, config);
  }

  // One trace per class: the outlines of its regions, parted by gaps; plotly closes and fills each of them.
  function classTraces(map, frame) {
    const colours = map.colours.concat([data.noData]);
    const traces = colours.map((colour) => ({
      type: "scatter", mode: "lines", x: [], y: [], fill: "toself", fillcolor: colour,
      line: { color: "#ffffff", width: 0.6 }, hoverinfo: "skip", showlegend: false,
    }));
    data.shapes.outlines.forEach((outline, i) => {
      const place = map.classes[frame][i];
      const trace = traces[place < 0 ? colours.length - 1 : place];
      if (!outline.x.length) return;
      if (trace.x.length) { trace.x.push(null); trace.y.push(null); }
      Array.prototype.push.apply(trace.x, outline.x);
      Array.prototype.push.apply(trace.y, outline.y);
    });
    return traces.filter((trace) => trace.x.length);
  }

  // Invisible marks inside the regions carry the hover texts.
  function hoverTrace(map, frame) {
    const trace = { type: "scatter", mode: "markers", x: [], y: [], hovertext: [], hoverinfo: "text", showlegend: false,
      marker: { size: 12, color: "rgba(0,0,0,0)" } };
    data.shapes.centres.forEach((centre, i) => {
      if (!centre) return;
      trace.x.push(centre[0]); trace.y.push(centre[1]);
      trace.hovertext.push("<b>" + data.regions[i] + "</b><br>" + map.texts[frame][i]);
    });
    return trace;
  }

  function arrows(map) {
    const centres = data.shapes.centres;
    const pairs = new Set(map.arrows.map((a) => a[0] + ">" + a[1]));
    return map.arrows.filter((a) => centres[a[0]] && centres[a[1]]).map((a) => {
      const from = centres[a[0]], to = centres[a[1]];
      const length = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
      // links that run both ways lie side by side
      const aside = pairs.has(a[1] + ">" + a[0]) ? 7 / length : 0;
      const dx = (to[1] - from[1]) * aside, dy = (from[0] - to[0]) * aside;
      return {
        x: to[0] + dx, y: to[1] + dy, ax: from[0] + dx, ay: from[1] + dy,
        xref: "x", yref: "y", axref: "x", ayref: "y", text: "", showarrow: true, arrowhead: 2, arrowsize: 0.8,
        arrowwidth: 0.8 + a[2], arrowcolor: "rgba(27,39,51,0.85)",
      };
    });
  }

  function mapLayout(map) {
    const shapes = data.shapes;
    const plain = { visible: false, fixedrange: true };
    return {
      margin: { l: 0, r: 0, t: 0, b: 0 }, hovermode: "closest", hoverdistance: 40, dragmode: false,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: font,
      hoverlabel: { bgcolor: "#ffffff", bordercolor: "#8a96a1", font: font },
      xaxis: Object.assign({ range: [-0.02 * shapes.width, 1.02 * shapes.width] }, plain),
      yaxis: Object.assign({ range: [-0.02 * shapes.height, 1.02 * shapes.height], scaleanchor: "x" }, plain),
      annotations: arrows(map),
    };
  }

  function drawMap(key) {
    const map = data.maps[key];
    const box = byKey(key);
    if (!box) return;
    const draw = (frame) =>
      Plotly.react(box, classTraces(map, frame).concat([hoverTrace(map, frame)]), mapLayout(map), config);
    draw(map.frames.length - 1);
    const slider = document.querySelector('[data-slider="' + key + '"]');
    if (!slider) return;
    const shown = document.querySelector('[data-shown="' + key + '"]');
    slider.addEventListener("input", () => {
      shown.textContent = map.frames[Number(slider.value)];
      slider.setAttribute("aria-valuetext", map.frames[Number(slider.value)]);
      draw(Number(slider.value));
    });
  }

  Object.keys(data.charts).forEach(drawChart);
  Object.keys(data.maps).forEach(drawMap);

  // Plotly measures the window, not the sheet: give every figure the width of its place on A4, and take it back after.
  const plots = () => Array.from(document.querySelectorAll(".js-plotly-plot"));
  function forPaper() {
    document.querySelectorAll("details").forEach((box) => { box.dataset.was = box.open ? "1" : ""; box.open = true; });
    plots().forEach((box) => {
      const width = box.closest(".three") ? 210 : box.closest(".pair") ? 325 : 670;
      const change = { width: width };
      if (box.classList.contains("map")) {
        change.height = Math.min(width * data.shapes.height / data.shapes.width, 230);
        box.style.height = change.height + "px";
      } else if (box.dataset.figure.startsWith("moran")) {
        change.height = box.dataset.figure === "moran" ? 280 : 270;
        box.style.minHeight = change.height + "px";
      }
      if (box.dataset.figure === "forest") change.height = Math.min(data.charts.forest.layout.height, 620);
      Plotly.relayout(box, change);
    });
  }
  function forScreen() {
    document.querySelectorAll("details").forEach((box) => { box.open = box.dataset.was === "1"; });
    plots().forEach((box) => {
      const map = box.classList.contains("map");
      if (map) box.style.height = "";
      const height = map ? null : data.charts[box.dataset.figure].layout.height;
      if (height) box.style.minHeight = height + "px";
      Plotly.relayout(box, { width: null, height: height, autosize: true });
    });
  }
  window.addEventListener("beforeprint", forPaper);
  window.addEventListener("afterprint", forScreen);
  document.documentElement.dataset.ready = "1";
})();
