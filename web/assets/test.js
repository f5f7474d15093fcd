// Test: what a version on trial has shown against what it must show.

import { fetchJson, figure, fill, gauge, h, list, money, number, panel, percent, stamp, table, tag, who } from './dom.js';

const MEASURES = { win_rate: 'win rate', pnl_per_signal: 'pnl of a signal', pnl_per_taken: 'pnl of a trade taken', sharpe_ratio: 'Sharpe ratio', drawdown_ratio: 'drawdown ratio' };
const NAMES = { paired: 'Paired view: the same signals with and without the version', randomised: 'Randomised view: signals of one arm against those of the other' };
const shown = (measure, value) => (value === null || value === undefined ? '–' : measure.includes('rate') ? percent(value) : measure.includes('pnl') ? money(value) : figure(value));

function checks(gate) {
  return [h('p', {}, gate.passed ? tag('good', 'passed') : tag('warn', 'not passed'), ` The gate to ${String(gate.next).replace('_', ' ')} ${gate.says}.`),
    table([{ name: 'condition' }, { name: 'value', n: true }, { name: 'threshold', n: true }, { name: '' }],
      (gate.checks ?? []).map((check) => [String(check.name).replaceAll('_', ' '), figure(check.value), figure(check.threshold),
        check.passed ? tag('good', 'holds') : tag('warn', 'not yet')]), 'No condition is listed.')];
}

function progress(report, isTest) {
  const planned = report.planned_sessions;
  const left = Math.max(0, planned - report.sessions);
  const pace = report.sessions ? report.trades / report.sessions : null;
  return [isTest ? gauge({ name: 'Sessions', value: number(report.sessions), limit: `of ${planned} planned`, share: report.sessions / planned, near: Infinity }) : h('p', {}, `${number(report.sessions)} sessions so far.`),
    list([
      ['trades', `${number(report.trades)}, ${report.in_ml ?? '–'} of them in the arm of the version (${number(report.expected_in_ml, 0)} expected)`],
      isTest && ['still to go', left ? `${left} sessions, about ${number(left / 5, 1)} weeks${pace === null ? '' : ` and ${number(left * pace, 0)} trades at the pace so far`}` : 'none: the plan is full'],
      ['arms as planned', `p ${figure(report.sample_ratio?.p)}`], ['open trades', number(report.open_trades)],
      isTest && ['asked for', `a win rate of trades taken that is ${number(100 * report.min_win_rate_gain, 1)} points higher, at level ${percent(report.level, 0)}, with power ${percent(report.power, 0)}`],
    ], { class: 'wide' })];
}

function evidence(report, isTest) {
  const { harm = [], metrics = [] } = report.standing ?? {};
  const rows = [
    ...metrics.map((metric) => [`${String(metric.metric).replace('_', ' ')}: better`, figure(metric.z), !isTest || metric.p === null || metric.p === undefined ? '–' : `p ${figure(metric.p)}`, isTest ? `p ${figure(report.level)}` : 'not judged']),
    ...harm.map((side) => [`harm, ${side.view}`, figure(side.z), '–', side.boundary === null ? 'not watched' : `z ${figure(side.boundary)}`]),
  ];
  return [table([{ name: 'evidence' }, { name: 'z', n: true }, { name: 'over all looks', n: true }, { name: 'boundary', n: true }], rows),
    ...harm.filter((side) => side.boundary !== null).map((side) => gauge({ name: `Towards harm, ${side.view}`, value: `z ${figure(side.z)}`, limit: `ends at ${figure(side.boundary)}`,
      share: Math.max(0, side.z / side.boundary) }))];
}

function view(found) {
  return [h('h2', {}, NAMES[found.view] ?? found.view),
    h('p', { class: 'small soft' }, `${found.signals.map((count) => number(count)).join(' and ')} signals, ${found.taken.map((count) => number(count)).join(' and ')} taken.`),
    table([{ name: 'measure' }, { name: 'with', n: true }, { name: 'alone', n: true }, { name: 'difference', n: true }, { name: 'interval', n: true }, { name: 'p', n: true }, { name: 'by', words: true }],
      found.metrics.map((metric) => [MEASURES[metric.measure] ?? String(metric.measure).replaceAll('_', ' '), shown(metric.measure, metric.ml), shown(metric.measure, metric.baseline),
        shown(metric.measure, metric.difference), metric.interval ? `${shown(metric.measure, metric.interval.low)} to ${shown(metric.measure, metric.interval.high)}` : '–',
        figure(metric.p), metric.method])),
    found.power?.length ? table([{ name: 'power', words: true }], found.power.map((line) => [typeof line === 'string' ? line : Object.entries(line).map(([name, value]) => `${name.replaceAll('_', ' ')} ${typeof value === 'number' ? figure(value) : value}`).join(', ')])) : null];
}

function trial(found) {
  const head = { test: 'A/B test', staging: 'Staging', holdback: 'Holdback: in production, compared with what is held back' }[found.trial] ?? found.trial;
  const { report, gate, ended } = found;
  return [
    panel(`${found.version}: ${head}`, { class: report ? 'half' : '' },
      h('p', { class: 'soft' }, `${found.state.replace('_', ' ')} since `, stamp(found.since)),
      ended && h('p', {}, `Its test ended `, stamp(ended.at), `: ${ended.reason} (by ${who(ended.by)}).`),
      report ? progress(report, found.trial === 'test') : null, gate ? checks(gate) : null),
    report ? panel('Evidence against its boundary', { class: 'half' }, evidence(report, found.trial === 'test'), report.ruling?.why && h('p', {}, `Ruling: ${report.ruling.verdict}: ${report.ruling.why}.`)) : null,
    ...(report?.views ?? []).map((one) => panel('', {}, view(one))),
    panel('In words', {}, h('details', {}, h('summary', {}, 'The report as `vigie experiment` prints it'), h('pre', {}, found.text))),
  ];
}

export function show(root) {
  const grid = h('div', { class: 'grid' }, panel('Test', {}, h('p', { class: 'empty' }, 'The daemon is asked…')));
  let [timer, last] = [null, ''];
  root.append(grid);
  const load = () => fetchJson('/api/experiment').then(({ trials }) => {
    const text = JSON.stringify(trials);
    if (text === last) return;
    last = text;
    const isOpen = grid.querySelector('details')?.open;
    fill(grid, ...(trials.length ? trials.flatMap(trial)
      : [panel('Test', {}, h('p', { class: 'empty' }, 'No version is in staging, under test or in production. `vigie power` says how long a test must be.'))]));
    if (isOpen) grid.querySelector('details').open = true;
  }).catch((error) => { if (!last) grid.replaceChildren(panel('Test', {}, h('p', { class: 'empty' }, error.message))); });
  load();
  timer = setInterval(load, 10000);
  return { update: (kind, data) => { if (kind === 'event' && data.event === 'moved') load(); }, end: () => clearInterval(timer) };
}
