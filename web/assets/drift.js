// Drift: every input and the score against their limits now, and the course of the health of each version day by day.

import { fetchJson, figure, gauge, h, levelKind, list, panel, percent, stamp, table, tag, words } from './dom.js';
import { chart } from './chart.js';

/** Limits of the population stability index from here on are none. */
const NO_LIMIT = 1000;

const seconds = (text) => new Date(text).getTime() / 1000;

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
    ]), h('h3', {}, 'Inputs, the furthest from home first'), inputs(version));
}

export function show(root) {
  const charts = [];
  const [top, course, told] = [h('div', { class: 'grid' }, panel('Now', {}, h('p', { class: 'empty' }, 'The monitor is asked…'))), h('div', { class: 'grid' }), h('div')];
  root.append(top, h('p'), course, h('p'), panel('Alerts of drift and health', {}, told));
  const plot = (parent, options) => { const made = chart(options); charts.push(made); parent.append(made.node); };

  function courses(events) {
    charts.splice(0).forEach((made) => made.destroy());
    course.replaceChildren();
    for (const name of [...new Set(events.map((event) => event.version))].slice(-3).reverse()) {
      const days = events.filter((event) => event.version === name);
      const x = days.map((event) => seconds(event.at));
      const of = (field) => days.map((event) => event.evidence?.[field] ?? (field === 'composite' ? event.composite : null) ?? null);
      const health = panel(`${name}: composite of its health, a day`, { class: 'half' });
      const accuracy = panel(`${name}: accuracy`, { class: 'half' });
      const distribution = panel(`${name}: distribution of the score`, { class: 'half' });
      const novelty = panel(`${name}: unusual inputs`, { class: 'half' });
      course.append(health, accuracy, distribution, novelty);
      plot(health, { title: 'composite', unit: 'composite', x, series: [{ name: 'composite', values: of('composite') }], limits: [{ name: 'as validated', value: 1 }] });
      plot(accuracy, { title: 'accuracy', unit: 'share right (%)', x, series: [{ name: 'in service', values: of('accuracy').map(hundred) }, { name: 'as validated', values: of('accuracy_as_validated').map(hundred) }, { name: 'by its scores', values: of('expected_accuracy').map(hundred) }] });
      plot(distribution, { title: 'PSI of the score', unit: 'PSI', x, series: [{ name: 'PSI', values: of('score_psi') }] });
      plot(novelty, { title: 'novelty', unit: 'share of inputs (%)', x, series: [{ name: 'unusual', values: of('novelty').map(hundred) }] });
    }
    if (events.length === 0) course.append(panel('Course', {}, h('p', { class: 'empty' }, 'No trading day of a version in service was judged yet.')));
  }
  const hundred = (value) => (value === null ? null : 100 * value);
  let last = '';
  const load = () => {
    fetchJson('/api/drift').then(({ versions }) => {
      const all = Object.entries(versions);
      top.replaceChildren(...(all.length ? all.map(([name, version]) => now(name, version)) : [panel('Now', {}, h('p', { class: 'empty' }, 'No version is in service.'))]));
    }).catch((error) => { if (!top.querySelector('table')) top.replaceChildren(panel('Now', {}, h('p', { class: 'empty' }, error.message))); });
    fetchJson('/api/events?kind=judged&limit=3000').then(({ events }) => {
      const text = `${events.length} ${events.at(-1)?.seq}`;
      if (text !== last) { last = text; courses(events); }
    }).catch(() => {});
    fetchJson('/api/events?kind=alert&limit=2000').then(({ events }) => {
      const codes = ['drift', 'novelty', 'expected_accuracy', 'instability', 'adwin', 'page_hinkley', 'cusum', 'composite', 'composite_share', 'composite_retrain', 'composite_rollback'];
      const found = events.filter((event) => codes.includes(event.code)).slice(-25).reverse();
      told.replaceChildren(table([{ name: 'time', t: true }, { name: 'level' }, { name: 'alert', words: true }], found.map((event) => [stamp(event.at), tag(levelKind(event.level), event.level), words(event)]), 'None.'));
    }).catch(() => {});
  };
  load();
  const timer = setInterval(load, 15000);
  return { update: () => {}, end: () => { clearInterval(timer); charts.forEach((made) => made.destroy()); } };
}
