// SPDX-License-Identifier: Apache-2.0
// Summary, sheets, history and options of a report. All text of the runs goes in as text nodes.
const report = JSON.parse(document.getElementById('data').textContent);
const runs = report.runs;
const several = runs.length > 1;
const byId = (id) => document.getElementById(id);
const color = (index) => `var(--c${index % 8})`;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function swatch(index) {
  const made = element('span', {className: 'swatch'});
  made.style.background = color(index);
  return made;
}

function numberText(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-4)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

function durationText(seconds) {
  const s = Math.round(seconds);
  const two = (n) => String(n).padStart(2, '0');
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${two(Math.floor(s / 60) % 60)}m`;
  return `${Math.floor(s / 86400)}d ${two(Math.floor(s / 3600) % 24)}h`;
}

const values = (run, name) => (run.series[name] ? run.series[name].mean : []);
const known = (list) => list.filter((value) => value !== null);
const last = (list) => known(list).at(-1);
const kimgOf = (run) => last(run.kimg) ?? 0;

function stateOf(run) {
  const kinds = {done: ['done', 'done'], stop: ['stopped, to go on', ''], fault: ['ended by a fault', 'fault']};
  const end = run.events.findLast((event) => event.kind in kinds || event.kind === 'restart');
  return end && kinds[end.kind] ? kinds[end.kind] : ['running, or ended without a word', ''];
}

function facts(run) {
  const total = run.options && run.options.kimg;
  const list = [['progress', total ? `${numberText(kimgOf(run))} of ${total} kimg` : `${numberText(kimgOf(run))} kimg`]];
  const seconds = last(values(run, 'Timing/total_sec'));
  if (seconds !== undefined) list.push(['time of work', durationText(seconds)]);
  const speed = last(values(run, 'Timing/sec_per_kimg'));
  if (speed) list.push(['speed', `${numberText(1000 / speed)} images/s`]);
  const p = last(values(run, 'Progress/augment'));
  if (p !== undefined) list.push(['augmentation p', numberText(p)]);
  for (const [name, metric] of Object.entries(run.metrics)) {
    if (known(metric.value).length) list.push([name, numberText(last(metric.value))]);
  }
  if (run.starts !== null) list.push(['starts', String(run.starts)]);
  return list;
}

function summaryCard(run, index) {
  const [state, kind] = stateOf(run);
  const name = element('div', {className: 'run-name'});
  if (several) name.append(swatch(index));
  name.append(element('h3', {}, run.name), element('span', {className: `state ${kind}`}, state));
  const card = element('article', {className: 'card'}, name);
  if (run.options && run.options.kimg > 0) {
    card.append(element('progress', {max: run.options.kimg, value: kimgOf(run), title: 'progress'}));
  }
  const list = element('dl', {className: 'facts'});
  for (const [what, value] of facts(run)) {
    list.append(element('div', {}, element('dt', {}, what), element('dd', {}, value)));
  }
  card.append(list, ...run.notes.map((text) => element('p', {className: 'note'}, text)));
  return card;
}

// One slider for all runs: each shows its newest sheet of that moment.
function showSheets() {
  const moments = [...new Set(runs.flatMap((run) => run.sheets.map((sheet) => sheet.kimg)))];
  moments.sort((a, b) => a - b);
  const shown = runs.filter((run) => run.sheets.length || run.reals);
  if (!shown.length) return;
  byId('images').hidden = false;
  byId('reals-label').hidden = !shown.some((run) => run.reals);
  const views = shown.map((run) => sheetView(run));
  const slider = byId('time');
  slider.max = Math.max(0, moments.length - 1);
  slider.value = slider.max;
  const update = () => {
    const moment = moments[slider.value] ?? 0;
    byId('time-text').textContent = moments.length ? `${moment < 0 ? 'start' : `${moment} kimg`}` : 'none yet';
    views.forEach((view) => view(moment, byId('reals').checked));
  };
  slider.oninput = update;
  byId('reals').onchange = update;
  byId('play').onclick = () => play(slider, update);
  update();
}

function sheetView(run) {
  const image = element('img', {});
  const when = element('span', {className: 'quiet'});
  const caption = element('figcaption', {}, element('span', {}, several ? run.name : ''), when);
  if (several) caption.prepend(swatch(runs.indexOf(run)));
  const figure = element('figure', {className: 'sheet card'}, caption, image);
  image.onclick = () => figure.classList.toggle('large');
  byId('sheets').append(figure);
  return (moment, real) => {
    const sheet = real ? run.reals && {src: run.reals, label: 'real images'}
        : run.sheets.findLast((candidate) => candidate.kimg <= moment) ?? run.sheets[0];
    image.hidden = !sheet;
    when.textContent = sheet ? sheet.label : 'no images';
    image.alt = `${run.name}: ${when.textContent}`;
    if (sheet) image.src = sheet.src;
  };
}

let timer = null;
function play(slider, update) {
  const stop = () => {
    clearInterval(timer);
    timer = null;
    byId('play').textContent = '▶ Play';
  };
  if (timer) return stop();
  byId('play').textContent = '⏸ Pause';
  if (slider.value === slider.max) slider.value = 0;
  update();
  timer = setInterval(() => {
    slider.value = Number(slider.value) + 1;
    update();
    if (slider.value === slider.max) stop();
  }, 500);
}

function row(cells, tag = 'td') {
  return element('tr', {}, ...cells.map((cell) => (cell instanceof Node ? cell : element(tag, {}, cell))));
}

function showHistory() {
  const rows = runs.flatMap((run, index) => run.events.map((event) => {
    const kind = element('td', {className: `kind-${event.kind}`}, event.kind);
    const at = element('td', {className: 'number'}, `${numberText(event.kimg)} kimg`);
    const name = several ? [element('td', {}, swatch(index), ` ${run.name}`)] : [];
    const times = event.times > 1 ? ` (${event.times} times)` : '';
    return row([...name, at, kind, event.text + times]);
  }));
  if (!rows.length) return;
  byId('history').hidden = false;
  const head = row([...(several ? ['run'] : []), 'after', '', 'line of log.txt'], 'th');
  byId('history').querySelector('.scroll').append(element('table', {className: 'history'}, head, ...rows));
}

const optionText = (value) => (value === undefined || value === '' ? '–' : typeof value === 'string' ? value : JSON.stringify(value));

function flatOptions(options) {
  return Object.fromEntries(Object.entries(options ?? {}).flatMap(([name, value]) =>
    (value && typeof value === 'object' && !Array.isArray(value)
      ? Object.entries(value).map(([inner, of]) => [`${name}: ${inner}`, of]) : [[name, value]])));
}

function showOptions() {
  const all = runs.map((run) => flatOptions(run.options));
  const names = [...new Set(all.flatMap((options) => Object.keys(options)))];
  if (!names.length) return;
  byId('options').hidden = false;
  const table = element('table', {className: 'options'});
  if (several) {
    table.append(element('tr', {}, element('th'), ...runs.map((run, index) =>
      element('th', {}, swatch(index), ` ${run.name}`))));
  }
  for (const name of names) {
    const texts = all.map((options) => optionText(options[name]));
    const line = row([name, ...texts]);
    if (new Set(texts).size > 1) line.className = 'differs';
    table.append(line);
  }
  byId('options').querySelector('.scroll').append(table);
  byId('differences-label').hidden = !several;
  byId('differences').onchange = (event) => {
    for (const line of table.querySelectorAll('tr:not(.differs)')) {
      line.hidden = event.target.checked && !line.querySelector('th');
    }
  };
}

byId('title').textContent = several ? `${runs.length} training runs` : runs[0].name;
document.title = `${several ? `${runs.length} runs` : runs[0].name} – training report`;
byId('made').textContent = `Training report of ${report.made}`;
byId('footer').textContent = `galette ${report.version}`;
byId('summary').append(...runs.map(summaryCard));
showSheets();
showHistory();
showOptions();
