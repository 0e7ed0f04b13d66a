// SPDX-License-Identifier: Apache-2.0
// The curves of a report, as SVG that is drawn anew whenever its width or a setting changes.
const settings = {smooth: 0, axis: 'kimg'};
const kHeight = 220;
const kPrintWidth = 360;  // a little more than charts get in two columns on A4 or Letter
const kMargin = {left: 54, right: 14, top: 8, bottom: 26};
const kDashes = ['', '6 3', '2 3', '8 3 2 3', '1 2'];

const series = (...names) => names.map((name) => ({name, label: name.replace(/^[^/]*\//, '')}));

function chartList() {
  const phases = ['Gmain', 'Greg', 'Gboth', 'Dmain', 'Dreg', 'Dboth'].map((name) => `Timing/${name}`);
  const target = runs[0].options && runs[0].options.aug === 'ada' ? runs[0].options.target : undefined;
  const metrics = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))];
  return [
    ...metrics.map((name) => ({title: name, series: [{name, label: name, metric: true}]})),
    {title: 'Losses', series: series('Loss/G/loss', 'Loss/D/loss')},
    {title: 'Scores of the discriminator', series: series('Loss/scores/real', 'Loss/scores/fake')},
    {title: 'Signs of the scores', series: series('Loss/signs/real', 'Loss/signs/fake'), target},
    {title: 'Probability of augmentation', series: series('Progress/augment'), zero: true},
    {title: 'R1 penalty', series: series('Loss/r1_penalty'), log: true},
    {title: 'Path length penalty', series: series('Loss/pl_penalty'), log: true},
    {title: 'Speed', unit: 's per kimg', series: series('Timing/sec_per_kimg'), zero: true},
    {title: 'Phases of an iteration', unit: 'ms', series: series(...phases), zero: true},
    {title: 'Pictures, networks, checkpoints', unit: 's per tick', series: series('Timing/maintenance_sec'), zero: true},
    {title: 'Wait for checkpoints', unit: 'ms', series: series('Timing/checkpoint_stall_ms'), zero: true},
    {title: 'Memory', unit: 'GiB', series: series('Resources/cpu_mem_gb', 'Resources/peak_gpu_mem_gb',
      'Resources/peak_gpu_mem_reserved_gb'), zero: true, positive: true},
    {title: 'Gradients that were not finite', unit: 'per tick', series: series('Health/nonfinite_gradients'),
      zero: true, positive: true},
  ];
}

function shape(tag, attributes = {}, text = '') {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

/** Hours of work at a kimg of a run, between its ticks by interpolation. */
function hoursAt(run, kimg) {
  const seconds = values(run, 'Timing/total_sec');
  const next = run.kimg.findIndex((at) => at !== null && at >= kimg);
  if (next < 0) return (last(seconds) ?? 0) / 3600;
  if (next === 0 || run.kimg[next] === kimg) return seconds[next] / 3600;
  const part = (kimg - run.kimg[next - 1]) / (run.kimg[next] - run.kimg[next - 1]);
  return (seconds[next - 1] + part * (seconds[next] - seconds[next - 1])) / 3600;
}

/** Exponential average, free of the bias of its first values. */
function smoothed(list, weight) {
  let sum = 0;
  let total = 0;
  return list.map((value) => {
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + 1 - weight;
    return sum / total;
  });
}

function lineOf(run, source) {
  const data = source.metric ? run.metrics[source.name] : run.series[source.name];
  if (!data) return null;
  const kimg = source.metric ? data.kimg : run.kimg;
  const means = source.metric ? data.value : data.mean;
  const points = kimg.map((at, i) => ({kimg: at, y: means[i], std: data.std ? data.std[i] : null}))
    .filter((point) => point.kimg !== null && point.y !== null);
  if (!points.length) return null;
  const weight = source.metric ? 0 : settings.smooth;  // metrics are few and have little noise
  const soft = smoothed(points.map((point) => point.y), weight);
  points.forEach((point, i) => {
    point.x = settings.axis === 'kimg' ? point.kimg : hoursAt(run, point.kimg);
    point.soft = soft[i];
  });
  return points;
}

function linesOf(spec) {
  const lines = [];
  runs.forEach((run, r) => spec.series.forEach((source, s) => {
    const points = lineOf(run, source);
    if (!points || (spec.positive && points.every((point) => point.y === 0))) return;
    const label = several ? (spec.series.length > 1 ? `${run.name}: ${source.label}` : run.name) : source.label;
    lines.push({points, label, color: color(several ? r : s), dash: several ? kDashes[s % kDashes.length] : ''});
  }));
  return lines;
}

function niceTicks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const ticks = [];
  for (let k = first; k * step <= high + step * 1e-9; ++k) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

function logTicks(low, high) {
  const ticks = [];
  const factors = Math.log10(high / low) < 2.5 ? [1, 2, 5] : [1];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); ++power) {
    for (const factor of factors) ticks.push(Number((factor * 10 ** power).toPrecision(6)));
  }
  const inside = ticks.filter((tick) => tick >= low && tick <= high);
  return inside.length > 8 ? inside.filter((_, i) => i % Math.ceil(inside.length / 8) === 0) : inside;
}

/** The range of the values, a little wider, with what the chart asks to be seen. */
function rangeOf(lines, spec, log) {
  const all = lines.flatMap((line) => line.points.map((point) => point.y)).filter((y) => !log || y > 0);
  let low = all.reduce((a, b) => Math.min(a, b), Infinity);
  let high = all.reduce((a, b) => Math.max(a, b), -Infinity);
  if (log) return low === high ? [low / 2, high * 2] : [low / 1.15, high * 1.15];
  if (spec.zero) [low, high] = [Math.min(low, 0), Math.max(high, 0)];
  if (spec.target !== undefined) high = Math.max(high, spec.target);
  if (low === high) [low, high] = low === 0 ? [0, 1] : [low - Math.abs(low) / 2, high + Math.abs(high) / 2];
  const room = (high - low) * 0.06;
  return [spec.zero && low === 0 ? 0 : low - room, high + room];
}

class Chart {
  constructor(spec) {
    this.spec = spec;
    this.log = false;
    this.plot = shape('svg', {class: 'plot', tabindex: 0, role: 'img', 'aria-label': `${spec.title}, arrow keys show values`});
    this.keys = element('div', {className: 'keys'});
    this.tip = element('div', {className: 'tip', hidden: true});
    const button = element('button', {className: 'small', type: 'button'}, 'log');
    const title = element('h3', {}, spec.title);
    if (spec.unit) title.append(element('span', {className: 'quiet'}, ` ${spec.unit}`));
    const lines = linesOf(spec);
    const allows = lines.length && lines.every((line) => line.points.every((point) => point.y > 0));
    this.log = Boolean(spec.log && allows);
    const toggle = () => button.setAttribute('aria-pressed', String(this.log));
    toggle();
    button.hidden = !allows;
    button.title = 'logarithmic scale';
    button.onclick = () => { this.log = !this.log; toggle(); this.draw(); };
    this.figure = element('figure', {className: 'chart card', hidden: !lines.length},
      element('div', {className: 'top'}, title, button), this.keys, this.plot, this.tip);
    this.plot.onpointermove = (event) => this.point(event);
    this.plot.onpointerdown = (event) => this.point(event);
    this.plot.onpointerleave = () => this.leave();
    this.plot.onblur = () => this.leave();
    this.plot.onkeydown = (event) => this.step(event);
  }

  draw(width = this.plot.clientWidth || 420) {
    this.width = Math.max(220, width);
    this.lines = linesOf(this.spec);
    if (!this.lines.length) return;
    this.plot.setAttribute('viewBox', `0 0 ${this.width} ${kHeight}`);
    const xs = this.lines.flatMap((line) => line.points.map((point) => point.x));
    const range = [xs.reduce((a, b) => Math.min(a, b), 0), xs.reduce((a, b) => Math.max(a, b), 0)];
    this.xRange = range[0] === range[1] ? [0, 1] : range;
    this.yRange = rangeOf(this.lines, this.spec, this.log);
    this.plot.replaceChildren(...this.axes(), ...this.marks(), ...this.lines.flatMap((line) => this.curve(line)));
    this.cursor = shape('g');
    this.plot.append(...this.targetLabel(), this.cursor);
    this.showKeys();
    this.leave();
  }

  x(value) {
    const part = (value - this.xRange[0]) / (this.xRange[1] - this.xRange[0]);
    return kMargin.left + part * (this.width - kMargin.left - kMargin.right);
  }

  y(value) {
    const scale = this.log ? Math.log10 : (v) => v;
    const [low, high] = this.yRange.map(scale);
    const part = (scale(value) - low) / (high - low);
    return kHeight - kMargin.bottom - part * (kHeight - kMargin.top - kMargin.bottom);
  }

  axes() {
    const right = this.width - kMargin.right;
    const bottom = kHeight - kMargin.bottom;
    const shapes = [];
    for (const tick of this.log ? logTicks(...this.yRange) : niceTicks(...this.yRange, 5)) {
      const y = this.y(tick);
      shapes.push(shape('line', {class: 'grid', x1: kMargin.left, x2: right, y1: y, y2: y}));
      shapes.push(shape('text', {x: kMargin.left - 7, y: y + 4, 'text-anchor': 'end'}, numberText(tick)));
    }
    const ticks = niceTicks(...this.xRange, Math.max(3, Math.floor(this.width / 90)));
    ticks.forEach((tick, i) => {
      const x = this.x(tick);
      const text = i === ticks.length - 1 ? `${numberText(tick)} ${settings.axis === 'kimg' ? 'kimg' : 'h'}` : numberText(tick);
      const anchor = x > right - 24 ? 'end' : 'middle';
      shapes.push(shape('line', {class: 'frame', x1: x, x2: x, y1: bottom, y2: bottom + 4}));
      shapes.push(shape('text', {x: anchor === 'end' ? right + 8 : x, y: bottom + 17, 'text-anchor': anchor}, text));
    });
    shapes.push(shape('line', {class: 'frame', x1: kMargin.left, x2: right, y1: bottom, y2: bottom}));
    return shapes;
  }

  /** Restarts of a single run, and the value that ADA aims at. */
  marks() {
    const shapes = [];
    const bottom = kHeight - kMargin.bottom;
    for (const event of several ? [] : runs[0].events.filter((e) => e.kind === 'restart')) {
      const x = this.x(settings.axis === 'kimg' ? event.kimg : hoursAt(runs[0], event.kimg));
      if (!(x <= this.width - kMargin.right)) continue;
      const mark = shape('line', {class: 'restart', x1: x, x2: x, y1: kMargin.top, y2: bottom});
      mark.append(shape('title', {}, `restart at ${numberText(event.kimg)} kimg`));
      shapes.push(mark);
    }
    if (this.spec.target !== undefined) {
      const y = this.y(this.spec.target);
      shapes.push(shape('line', {class: 'target', x1: kMargin.left, x2: this.width - kMargin.right, y1: y, y2: y}));
    }
    return shapes;
  }

  targetLabel() {
    const target = this.spec.target;
    if (target === undefined) return [];
    const place = {x: this.width - kMargin.right, y: this.y(target) - 5, 'text-anchor': 'end'};
    return [shape('text', place, `target ${target}`)];
  }

  curve(line) {
    const style = `stroke: ${line.color}`;
    const visible = line.points.filter((point) => !this.log || point.y > 0);
    const path = (field) => visible.map((point, i) =>
      `${i ? 'L' : 'M'}${this.x(point.x).toFixed(1)} ${this.y(point[field]).toFixed(1)}`).join('');
    const shapes = [];
    if (settings.smooth > 0) shapes.push(shape('path', {class: 'line raw', style, d: path('y')}));
    shapes.push(shape('path', {class: 'line', style, 'stroke-dasharray': line.dash, d: path('soft')}));
    if (visible.length <= 30) {
      for (const point of visible) {
        shapes.push(shape('circle', {cx: this.x(point.x), cy: this.y(point.soft), r: 2.4, style: `fill: ${line.color}`}));
      }
    }
    return shapes;
  }

  /** Which line is which: colours of one run's series; dashes of several runs' series. */
  showKeys() {
    const labels = this.spec.series.filter((source) => runs.some((run) => lineOf(run, source)));
    if (labels.length < 2) return this.keys.replaceChildren();
    this.keys.replaceChildren(...(several
      ? labels.map((source) => key(source.label, 'var(--quiet)', kDashes[this.spec.series.indexOf(source) % kDashes.length]))
      : this.lines.map((line) => key(line.label, line.color, line.dash))));
  }

  point(event) {
    const box = this.plot.getBoundingClientRect();
    const part = (event.clientX - box.left - kMargin.left) / (this.width - kMargin.left - kMargin.right);
    this.show(this.xRange[0] + part * (this.xRange[1] - this.xRange[0]));
  }

  /** Left and right go from one point of the first line to the next. */
  step(event) {
    const direction = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!direction) return;
    event.preventDefault();
    const points = this.lines[0].points;
    const now = this.at === undefined ? (direction > 0 ? -1 : points.length) : points.indexOf(nearest(points, this.at));
    this.show(points[Math.min(points.length - 1, Math.max(0, now + direction))].x);
  }

  show(x) {
    const found = this.lines.map((line) => ({line, point: nearest(line.points, x)}));
    const closest = found.reduce((a, b) => (Math.abs(b.point.x - x) < Math.abs(a.point.x - x) ? b : a)).point;
    this.at = closest.x;
    const left = this.x(closest.x);
    this.cursor.replaceChildren(shape('line',
      {class: 'cursor', x1: left, x2: left, y1: kMargin.top, y2: kHeight - kMargin.bottom}));
    this.tip.replaceChildren(element('div', {className: 'quiet'},
      `${numberText(closest.kimg)} kimg${settings.axis === 'kimg' ? '' : `, ${numberText(closest.x)} h`}`));
    for (const {line, point} of found) {
      if ((this.log && point.y <= 0) || this.ended(point.x)) continue;
      this.cursor.append(shape('circle', {cx: this.x(point.x), cy: this.y(point.soft), r: 4, style: `fill: ${line.color}`}));
      const std = point.std ? ` ± ${numberText(point.std)}` : '';
      const soft = settings.smooth > 0 ? ` (${numberText(point.soft)})` : '';
      this.tip.append(element('div', {}, key(line.label, line.color, line.dash), element('b', {}, numberText(point.y) + soft + std)));
    }
    this.tip.hidden = false;
    this.tip.style.left = '0';  // where it takes the width that it needs
    const before = left > this.width / 2;
    this.tip.style.top = `${this.figure.clientHeight - kHeight}px`;
    const place = before ? left - this.tip.offsetWidth - 2 : left + 26;
    const most = this.figure.clientWidth - this.tip.offsetWidth - 4;
    this.tip.style.left = `${Math.max(4, Math.min(place, most))}px`;
  }

  /** Whether the nearest point of a line is too far away to say something here. */
  ended(x) {
    return Math.abs(x - this.at) > 0.05 * (this.xRange[1] - this.xRange[0]);
  }

  leave() {
    this.tip.hidden = true;
    this.at = undefined;
    if (this.cursor) this.cursor.replaceChildren();
  }
}

function nearest(points, x) {
  let low = 0;
  let high = points.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle].x <= x) low = middle; else high = middle;
  }
  return Math.abs(points[low].x - x) <= Math.abs(points[high].x - x) ? points[low] : points[high];
}

function key(label, stroke, dash) {
  const sample = shape('svg', {width: 22, height: 8});
  sample.append(shape('line', {x1: 0, x2: 22, y1: 4, y2: 4, style: `stroke: ${stroke}; stroke-width: 2.5`, 'stroke-dasharray': dash}));
  return element('span', {className: 'key'}, sample, label);
}

function showCharts() {
  const charts = chartList().map((spec) => new Chart(spec));
  if (charts.every((chart) => chart.figure.hidden)) return;
  byId('curves').hidden = false;
  byId('charts').append(...charts.map((chart) => chart.figure));
  if (several) byId('legend').append(...runs.map((run, index) => key(run.name, color(index), '')));
  const draw = () => charts.forEach((chart) => chart.draw());
  byId('smooth').oninput = (event) => {
    settings.smooth = Number(event.target.value);
    byId('smooth-text').textContent = settings.smooth > 0 ? settings.smooth.toFixed(2) : 'off';
    draw();
  };
  byId('axis').onchange = (event) => { settings.axis = event.target.value; draw(); };
  let width = 0;  // values below a chart change the height only, and must not redraw it
  new ResizeObserver(([entry]) => {
    if (entry.contentRect.width !== width) draw();
    width = entry.contentRect.width;
  }).observe(byId('charts'));
  window.addEventListener('beforeprint', () => charts.forEach((chart) => chart.draw(kPrintWidth)));
  window.addEventListener('afterprint', draw);
  draw();
}

showCharts();
