// Test: what a version on trial has shown against what it must show, session by session.

import { fetchJson, figure, fill, gauge, h, list, money, number, panel, percent, stamp, table, tag, who } from './dom.js';
import { charts } from './chart.js';

const MEASURES = { win_rate: 'win rate', pnl_per_signal: 'pnl of a signal', pnl_per_taken: 'pnl of a trade taken', sharpe: 'Sharpe ratio', sharpe_even: 'Sharpe ratio, even arms',
  drawdown_ratio: 'drawdown ratio', drawdown_even: 'drawdown ratio, even arms', slippage: 'slippage' };
const UNITS = { win_rate: '', pnl_per_signal: 'account currency', pnl_per_taken: 'account currency', sharpe: 'a year', sharpe_even: 'a year', slippage: 'ticks' };
const NAMES = { paired: 'Paired view: the same signals with and without the version', randomised: 'Randomised view: signals of one arm against those of the other' };
const shown = (measure, value) => (value === null || value === undefined ? '–' : measure.includes('rate') ? percent(value) : measure.includes('pnl') ? money(value) : figure(value));

function checks(gate) {
  return [h('p', {}, gate.passed ? tag('good', 'passed') : tag('warn', 'not passed'), ` The gate to ${String(gate.next).replace('_', ' ')} ${gate.says}.`),
    table([{ name: 'condition' }, { name: 'value', n: true }, { name: 'threshold', n: true }, { name: '' }],
      (gate.checks ?? []).map((check) => [String(check.name).replaceAll('_', ' '), figure(check.value), figure(check.threshold),
        check.passed ? tag('good', 'holds') : tag('warn', 'not yet')]), 'No condition is listed.')];
}

/** The power of the view that decides, read at every session; what else is told of where that is missing. */
const powerOf = (report) => report.views.find((one) => one.view === report.evidence)?.power?.find((line) => line.sequential);

function progress(report, isTest) {
  const planned = report.planned_sessions;
  const left = Math.max(0, planned - report.sessions);
  const power = powerOf(report);
  return [isTest ? gauge({ name: 'Sessions', value: number(report.sessions), limit: `of ${planned} planned`, share: report.sessions / planned, near: Infinity }) : h('p', {}, `${number(report.sessions)} sessions so far.`),
    list([
      ['trades', `${number(report.trades)}, ${report.in_ml ?? '–'} of them in the arm of the version (${number(report.expected_in_ml, 0)} expected)`],
      isTest && ['still to go', left ? `${left} sessions, ${number(left / 5, 1)} weeks of five` : 'none: the plan is full'],
      isTest && ['until the gain asked for is found', power ? (power.trades_missing > 0 ? `about ${number(power.trades_missing, 0)} more trades, ${number(power.weeks_missing, 1)} weeks at the pace so far` : 'as many trades as that takes')
        : 'not known before there is evidence'],
      isTest && power && ['power by the planned end', `${percent(power.power_at_end, 0)} to find it, ${percent(report.power, 0)} asked for`],
      ['arms as planned', report.sample_ratio ? `p ${figure(report.sample_ratio.p)}` : '–'], ['open trades', number(report.open_trades)],
      isTest && ['asked for', `a win rate of trades taken that is ${number(100 * report.min_win_rate_gain, 1)} points higher, at level ${percent(report.level, 0)}`],
    ], { class: 'wide' })];
}

function evidence(report, isTest) {
  const { harm = [], metrics = [] } = report.standing ?? {};
  const rows = [
    ...metrics.map((metric) => [`${String(metric.metric).replace('_', ' ')}: better`, figure(metric.z), !isTest || metric.p === null || metric.p === undefined ? '–' : `p ${figure(metric.p)}`, isTest ? `p ${figure(report.level)}` : 'not judged']),
    ...harm.map((side) => [`harm, ${side.view}`, figure(side.z), '–', !isTest || side.boundary === null ? 'not watched' : `z ${figure(side.boundary)}`]),
  ];
  return [table([{ name: 'evidence' }, { name: 'z', n: true }, { name: 'over all looks', n: true }, { name: 'boundary', n: true }], rows),
    ...harm.filter((side) => isTest && side.boundary !== null).map((side) => gauge({ name: `Towards harm, ${side.view}`, value: `z ${figure(side.z)}`, limit: `ends at ${figure(side.boundary)}`,
      share: Math.max(0, side.z / side.boundary) }))];
}

function power(lines, report) {
  if (!lines?.length) return null;
  return table([{ name: 'read' }, { name: 'power at the planned end', n: true }, { name: 'trades it takes', n: true }, { name: 'still missing', n: true }, { name: 'weeks', n: true }, { name: 'pnl of a signal that is found (account currency)', n: true }],
    lines.map((line) => [line.sequential ? 'after each session' : 'once, at the end', percent(line.power_at_end, 0), number(line.trades_needed, 0), number(line.trades_missing, 0), number(line.weeks_missing, 1), money(line.detectable_pnl)]));
}

function view(found, report) {
  return [h('h2', {}, NAMES[found.view] ?? found.view, found.view === report.evidence ? ' – it decides' : ''),
    h('p', { class: 'small soft' }, `${found.signals.map((count) => number(count)).join(' and ')} signals, ${found.taken.map((count) => number(count)).join(' and ')} taken: of the version, and of the strategy alone.`),
    h('div', { 'data-look': found.view }),
    table([{ name: 'measure' }, { name: 'unit' }, { name: 'with', n: true }, { name: 'alone', n: true }, { name: 'difference', n: true }, { name: 'interval', n: true }, { name: 'p', n: true }, { name: 'by', words: true }],
      found.metrics.map((metric) => [MEASURES[metric.measure] ?? String(metric.measure).replaceAll('_', ' '), UNITS[metric.measure] ?? '', shown(metric.measure, metric.ml), shown(metric.measure, metric.baseline),
        shown(metric.measure, metric.difference), metric.interval ? `${shown(metric.measure, metric.interval.low)} to ${shown(metric.measure, metric.interval.high)}` : '–',
        figure(metric.p), metric.method])),
    h('h3', {}, `Power to find a win rate that is higher by ${number(100 * report.min_win_rate_gain, 1)} %`),
    power(found.power, report) ?? h('p', { class: 'empty' }, 'Not known before its sessions tell how much they vary.')];
}

/** The evidence of one view after each session, against the boundaries. */
function course(drawn, parent, trial, name) {
  const { looks = [], report } = trial;
  const of = (look) => look.views.find((one) => one.view === name);
  if (!looks.some((look) => Number.isFinite(of(look)?.win_rate) || Number.isFinite(of(look)?.mean_pnl))) {
    parent.append(h('p', { class: 'empty' }, looks.length === 0 ? 'No session has closed yet.' : `${number(looks.length)} sessions have closed, and none tells this view anything: it has no trades to compare.`));
    return;
  }
  const values = (take) => looks.map((look) => take(look) ?? null);
  const limits = [{ name: 'better beyond chance', values: values((look) => look.success) }, { name: 'ends for harm (pnl)', values: values((look) => look.harm) }]
    .filter((limit) => limit.values.some((value) => value !== null));
  const planned = trial.trial === 'test' ? report.planned_sessions : null;
  drawn.add(parent, { title: `Evidence over sessions, ${name} view`, unit: 'z (standard errors)', isTime: false, xUnit: `sessions closed${planned ? ` of ${planned}` : ''}`, x: looks.map((look) => look.session),
    series: [{ name: 'win rate', values: values((look) => of(look)?.win_rate) }, { name: 'pnl of a signal', values: values((look) => of(look)?.mean_pnl) }],
    limits, range: planned ? [1, Math.max(planned, 2)] : null, height: 250 });
  const ended = trial.ended ? ' The last look is the one that decided.' : '';
  parent.append(h('p', { class: 'small soft' }, trial.trial === 'test'
    ? `How far the version is ahead of the strategy alone, in standard errors, after each session. Above the upper line it is better beyond chance, however often one looks; where its pnl falls to the lower one the test ends.${ended}`
    : 'How far the version is ahead of the strategy alone, in standard errors, after each session. A holdback is measured and decides nothing.'));
}

function trial(found) {
  const head = { test: 'A/B test', staging: 'Staging', holdback: 'Holdback: in production, compared with what is held back' }[found.trial] ?? found.trial;
  const { report, gate, ended } = found;
  return [
    panel(`${found.version}: ${head}`, { class: report ? 'half' : '', 'data-trial': found.version },
      h('p', { class: 'soft' }, `${found.state.replace('_', ' ')} since `, stamp(found.since)),
      ended && h('p', {}, `Its test ended `, stamp(ended.at), `: ${ended.reason} (by ${who(ended.by)}).`),
      report ? progress(report, found.trial === 'test') : null, gate ? checks(gate) : null),
    report ? panel('Evidence against its boundary', { class: 'half' }, evidence(report, found.trial === 'test'), report.ruling?.why && h('p', {}, `Ruling: ${report.ruling.verdict}: ${report.ruling.why}.`)) : null,
    ...(report?.views ?? []).map((one) => panel('', { 'data-version': found.version }, view(one, report))),
    panel('In words', {}, h('details', {}, h('summary', {}, 'The report as `vigie experiment` prints it'), h('pre', {}, found.text))),
  ];
}

export function show(root) {
  const drawn = charts();
  const grid = h('div', { class: 'grid' }, panel('Test', {}, h('p', { class: 'empty' }, 'The daemon is asked…')));
  const past = h('select', { onchange: () => load(true) }, h('option', { value: '' }, 'all under way'));
  let [timer, last] = [null, ''];
  root.append(h('div', { class: 'row bottom' }, h('label', {}, 'Trial', past)), grid);

  // versions whose test is over, by the steps of the journal
  fetchJson('/api/events?kind=moved&limit=20000').then(({ events }) => {
    const tested = [...new Set(events.filter((event) => event.step === 'start_test').map((event) => event.version))];
    past.append(...tested.reverse().map((version) => h('option', { value: version }, version)));
  }).catch(() => {});
  const load = (isOther = false) => fetchJson(`/api/experiment?looks=true${past.value ? `&version=${encodeURIComponent(past.value)}` : ''}`).then(({ trials }) => {
    const text = JSON.stringify(trials);
    if (text === last) return;
    last = text;
    const isOpen = !isOther && grid.querySelector('pre')?.parentElement.open;
    drawn.clear();
    fill(grid, ...(trials.length ? trials.flatMap(trial)
      : [panel('Test', {}, h('p', { class: 'empty' }, 'No version is in staging, under test or in production. `vigie power` says how long a test must be.'))]));
    for (const found of trials) {
      for (const place of grid.querySelectorAll(`[data-version="${found.version}"] [data-look]`)) course(drawn, place, found, place.dataset.look);
    }
    if (isOpen) grid.querySelector('pre').parentElement.open = true;
  }).catch((error) => { if (!last || isOther) grid.replaceChildren(panel('Test', {}, h('p', { class: 'empty' }, error.message))); });
  load();
  timer = setInterval(load, 20000);
  return { update: (kind, data) => { if (kind === 'event' && data.event === 'moved') load(); }, end: () => { clearInterval(timer); drawn.clear(); } };
}
