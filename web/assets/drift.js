// Drift: every input and the score against their limits, now and day by day, as the monitor judged them.

import { fetchJson, figure, fill, gauge, h, levelKind, list, panel, percent, seconds, stamp, table, tag, words } from './dom.js';
import { charts } from './chart.js';

/** Limits of the population stability index from here on are none. */
const NO_LIMIT = 1000;
/** Inputs whose course is shown at once; the others are behind a line to open. */
const OPEN = 6;
const CODES = ['drift', 'novelty', 'expected_accuracy', 'instability', 'adwin', 'page_hinkley', 'cusum', 'composite', 'composite_share', 'composite_retrain', 'composite_rollback', 'share', 'unwatched'];
const DECLINES = { 'decline:composite': 'an alert', 'decline:composite_share': 'less influence', 'decline:composite_retrain': 'a training', 'decline:composite_rollback': 'a rollback' };

function inputs(version) {
  const { columns = {} } = version.inputs ?? {};
  const rows = Object.entries(columns).map(([name, at]) => {
    const limit = version.thresholds?.[name];
    const share = limit && (limit.psi < NO_LIMIT || limit.ks < 1) ? Math.max(at.psi / limit.psi, limit.ks < 1 ? at.ks.statistic / limit.ks : 0) : null;
    return { share: share ?? -1, name, at, limit };
  }).sort((a, b) => b.share - a.share);
  return table([{ name: 'input' }, { name: 'of its limit' }, { name: 'PSI', n: true }, { name: 'limit', n: true }, { name: 'KS', n: true }, { name: 'limit', n: true }, { name: 'without a value', n: true }],
    rows.map(({ name, at, limit, share }) => [name, share < 0 ? 'no limit' : gauge({ name: '', value: percent(share, 0), limit: '', share }),
      figure(at.psi), !limit ? '–' : limit.psi >= NO_LIMIT ? 'none' : figure(limit.psi), figure(at.ks.statistic), limit ? (limit.ks >= 1 ? 'none' : figure(limit.ks)) : '–', percent(at.missing)]), 'No signal was compared yet.');
}

function now(name, version) {
  const { health } = version;
  const score = version.inputs?.score;
  return panel(`${name} now`, {},
    list([
      ['accuracy', health?.figures?.accuracy ? `${percent(health.figures.accuracy.value)} ± ${percent(health.figures.accuracy.error)}, validation foretells ${percent(health.expected_accuracy)}` : '–'],
      ['composite', health?.figures?.composite ? `${figure(health.figures.composite.value)} ± ${figure(health.figures.composite.error)}; 1 is as validated` : '–'],
      ['score', score ? `PSI ${figure(score.psi)}, KS ${figure(score.ks?.statistic)}` : '–'],
      ['expected accuracy by its scores', version.inputs?.expected ? percent(version.inputs.expected.accuracy) : '–'],
      ['unusual inputs', version.novelty === null || version.novelty === undefined ? 'the window is not full yet' : percent(version.novelty)],
      ['score stable', !health ? '–' : health.unstable ? tag('warn', 'no') : tag('good', 'yes')],
    ], { class: 'wide' }), h('h3', {}, 'Inputs, the furthest from home first'), inputs(version));
}

const hundred = (value) => (value === null ? null : 100 * value);

/** The charts of one version, from what each of its days was judged on. */
function course(drawn, parent, name, days) {
  // a day may be judged long after it has closed
  const x = days.map((event) => seconds(`${event.day}T00:00:00Z`));
  const of = (field) => days.map((event) => event.evidence?.[field] ?? null);
  const has = (field) => days.some((event) => event.evidence?.[field] !== undefined);
  const plot = (place, title, options) => drawn.add(place, { title, x, isDay: true, ...options });
  const half = (title) => { const made = panel(`${name}: ${title}`, { class: 'half' }); parent.append(made); return made; };

  plot(half('how far its score has moved'), 'Score: stability index', { unit: 'PSI', series: [{ name: 'score', values: of('score_psi') }], limits: has('score_psi_limit') ? [{ name: 'limit', values: of('score_psi_limit') }] : [] });
  plot(half('distance of its score'), 'Score: distance', { unit: 'KS distance (0 to 1)', series: [{ name: 'score', values: of('score_ks') }], limits: has('score_ks_limit') ? [{ name: 'limit', values: of('score_ks_limit') }] : [] });
  const declines = Object.entries(DECLINES).filter(([field]) => has(field));
  if (declines.length) {
    plot(half('how near a decline is to what follows from it'), 'Decline', { unit: 'multiple of the limit', series: declines.map(([field, title]) => ({ name: title, values: of(field) })), limits: [{ name: 'it follows', value: 1 }] });
  }
  plot(half('composite of its health'), 'Composite', { unit: 'composite (1 is as validated)', series: [{ name: 'composite', values: of('composite') }], limits: [{ name: 'as validated', value: 1 }] });
  plot(half('accuracy'), 'Accuracy', { unit: 'share right (%)', series: [{ name: 'in service', values: of('accuracy').map(hundred) }, { name: 'as validated', values: of('accuracy_as_validated').map(hundred) }] });
  plot(half('accuracy that its scores promise'), 'Promised accuracy', { unit: 'share right (%)', series: [{ name: 'promised now', values: of('expected_accuracy').map(hundred) }, { name: 'promised in validation', values: of('promised_accuracy').map(hundred) }] });
  plot(half('unusual inputs'), 'Unusual inputs', { unit: 'share of inputs (%)', series: [{ name: 'unusual', values: of('novelty').map(hundred) }], limits: has('novelty_limit') ? [{ name: 'limit', values: of('novelty_limit').map(hundred) }] : [] });
  each(drawn, parent, name, days, plot, of);
}

/** A small chart for each input: as a multiple of its limit, or its index where it has none. */
function each(drawn, parent, name, days, plot, of) {
  const latest = (field) => of(field).filter((value) => value !== null).at(-1) ?? -1;
  const names = [...new Set(days.flatMap((event) => Object.keys(event.evidence ?? {})).filter((field) => field.startsWith('psi:') || field.startsWith('drift:')).map((field) => field.slice(field.indexOf(':') + 1)))];
  const all = names.map((input) => ({ input, limited: days.some((event) => event.evidence?.[`drift:${input}`] !== undefined) }))
    .map((one) => ({ ...one, far: one.limited ? latest(`drift:${one.input}`) : latest(`psi:${one.input}`) - 1e6 })).sort((a, b) => b.far - a.far);
  const place = panel(`${name}: each input, the furthest first`, { 'data-inputs': name });
  parent.append(place);
  if (all.length === 0) {
    place.append(h('p', { class: 'empty' }, 'No day was judged yet with a full window of signals (monitor.window). Days before this was recorded have no course of inputs.'));
    return;
  }
  const [open, rest] = [h('div', { class: 'small-charts' }), h('div', { class: 'small-charts' })];
  place.append(open);
  if (all.length > OPEN) place.append(h('details', {}, h('summary', {}, `The other ${all.length - OPEN} inputs`), rest));
  all.forEach(({ input, limited }, at) => {
    const cell = h('div', { 'data-input': input }, h('h3', {}, input));
    (at < OPEN ? open : rest).append(cell);
    const field = limited ? `drift:${input}` : `psi:${input}`;
    plot(cell, input, { unit: limited ? 'times its limit' : 'PSI (no limit)', height: 150, series: [{ name: limited ? 'of its limit' : 'PSI', values: of(field) }], limits: limited ? [{ name: 'limit', value: 1 }] : [] });
  });
}

export function show(root) {
  const drawn = charts();
  const [top, days, told] = [h('div', { class: 'grid' }, panel('Now', {}, h('p', { class: 'empty' }, 'The monitor is asked…'))), h('div', { class: 'grid' }), h('div')];
  let [judged, serving, chosen, last] = [[], [], null, ''];
  const which = h('select', { onchange: () => { chosen = which.value; draw(); } });
  root.append(top, h('p'), h('div', { class: 'row bottom' }, h('label', {}, 'Course of', which)), days, h('p'), panel('Alerts of drift and health', {}, told));

  function draw() {
    drawn.clear();
    days.replaceChildren();
    const names = [...new Set(judged.map((event) => event.version))].reverse();
    fill(which, names.map((name) => h('option', { value: name }, name)));
    if (!names.includes(chosen)) chosen = names.find((name) => serving.includes(name)) ?? names[0] ?? null;
    if (chosen === null) { days.append(panel('Course', {}, h('p', { class: 'empty' }, 'No trading day of a version in service was judged yet.'))); return; }
    which.value = chosen;
    course(drawn, days, chosen, judged.filter((event) => event.version === chosen).sort((a, b) => a.day.localeCompare(b.day)));
  }
  const load = () => {
    fetchJson('/api/drift').then(({ versions }) => {
      const all = Object.entries(versions);
      serving = all.map(([name]) => name);
      top.replaceChildren(...(all.length ? all.map(([name, version]) => now(name, version)) : [panel('Now', {}, h('p', { class: 'empty' }, 'No version is in service.'))]));
    }).catch((error) => { if (!top.querySelector('table')) top.replaceChildren(panel('Now', {}, h('p', { class: 'empty' }, error.message))); });
    fetchJson('/api/events?kind=judged&limit=3000').then(({ events }) => {
      const text = `${events.length} ${events.at(-1)?.seq}`;
      if (text !== last) { last = text; judged = events; draw(); }
    }).catch(() => {});
    fetchJson('/api/events?kind=alert&limit=2000').then(({ events }) => {
      const found = events.filter((event) => CODES.includes(event.code)).slice(-25).reverse();
      told.replaceChildren(table([{ name: 'time', t: true }, { name: 'level' }, { name: 'alert', words: true }], found.map((event) => [stamp(event.at), tag(levelKind(event.level), event.level), words(event)]), 'None.'));
    }).catch(() => {});
  };
  load();
  const timer = setInterval(load, 15000);
  return { update: () => {}, end: () => { clearInterval(timer); drawn.clear(); } };
}
