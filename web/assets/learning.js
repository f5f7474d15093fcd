// Learning: when it trains, what is being trained, what the trades allow, what was tried, and what came of it.

import { fetchJson, figure, fill, fillBar, gauge, h, list, number, panel, percent, seconds, stamp, symbolOf, table, tag, words } from './dom.js';
import { charts } from './chart.js';
import { store } from './live.js';

/** Versions whose importance stands side by side, the latest ones. */
const VERSIONS = 8;
const LEVELS = { linear: 'Linear models', random_forest: 'Random forests', gradient_boosting: 'Gradient boosting', neural_network: 'Neural networks (none is built in)' };

function running(training) {
  const { running: job, last } = training;
  return [
    job ? [gauge({ name: `Training ${job.number}: ${job.stage ?? ''}`, value: `${number(100 * job.share, 0)} %`, limit: 'done', share: job.share, near: 2 }),
      list([['since', stamp(job.since)], ['why', job.reason], ['job', JSON.stringify(job.job)]])]
      : h('p', {}, 'No training is under way.'),
    last ? [h('h3', {}, `Training ${last.number}, the last one since the daemon began`),
      list([['ended', stamp(last.at)], ['version', last.version ?? '–'], ['registered', last.registered ? tag('good', 'yes') : tag('plain', 'no')],
        last.refused && ['refused', `${last.refused.code}: ${last.refused.message}`]])] : h('p', { class: 'small soft' }, 'None since the daemon began to serve.'),
    h('h3', {}, 'When it trains'),
    h('p', { class: 'small' }, 'There is no timetable. A person orders a training (`vigie train`), and a decline of a version in service beyond health.retrain_budget asks for one.'),
  ];
}

/** What recurs without anybody, and what came of it last. */
function schedule(jobs) {
  return table([{ name: 'job' }, { name: 'when' }, { name: 'last', t: true }, { name: 'found', words: true }],
    (jobs ?? []).map((job) => [job.does, job.when, job.last ? stamp(job.last.at) : '–', `${job.last?.found ?? 'not yet'}${job.last_failure ? `; failed ${number(job.failures)} times` : ''}`]), 'Not known now.');
}

function phases(found) {
  const level = (one) => h('details', { open: !one.go, 'data-level': one.level }, h('summary', {}, one.go ? tag('good', 'GO') : tag('warn', 'NO-GO'), ` ${LEVELS[one.level] ?? one.level}`,
    !one.go && found.allowed.includes(one.level) ? ' – opened by training.allow_levels' : ''),
    table([{ name: 'condition' }, { name: 'found', n: true }, { name: 'needed', n: true }, { name: '' }, { name: 'what would help', words: true }],
      one.conditions.map((condition) => [condition.what, figure(condition.found), condition.needed, condition.met ? tag('good', 'met') : tag('warn', 'not met'), condition.help ?? ''])));
  const { portfolio } = found;
  return [...found.levels.map(level),
    h('p', { class: 'small' }, portfolio.go ? tag('good', 'GO') : tag('warn', 'NO-GO'), ` A portfolio of symbols: ${portfolio.proven} of ${portfolio.needed} symbols have a version that passed its gates and held production for ${portfolio.needed_days} days.`)];
}

/** The share of each column in what each version says, version by version. */
function importance(models) {
  const shown = models.filter((model) => model.importance?.length).slice(-VERSIONS);
  if (shown.length === 0) return h('p', { class: 'empty' }, 'No version was trained yet.');
  const newest = new Map(shown.at(-1).importance);
  const names = [...new Set(shown.flatMap((model) => model.importance.map(([name]) => name)))].sort((a, b) => (newest.get(b) ?? -1) - (newest.get(a) ?? -1));
  const most = Math.max(...shown.flatMap((model) => model.importance.map(([, share]) => share)), 1e-9);
  return table([{ name: 'column' }, ...shown.map((model) => ({ name: model.version }))],
    names.map((name) => [name, ...shown.map((model) => {
      const share = new Map(model.importance).get(name);
      return share === undefined ? 'not used' : fillBar(share / most, percent(share));
    })]));
}

function trainings(models, tried) {
  return table([{ name: 'version' }, { name: 'trained', t: true }, { name: 'model' }, { name: 'predicts' }, { name: 'trades', n: true }, { name: 'says yes from', n: true }, { name: 'skill on unseen trades', n: true }, { name: 'test AUC', n: true }, { name: 'state' }],
    [...models].reverse().map((model) => {
      const trial = tried.find((event) => event.version === model.version);
      return [model.version, model.created_at ? stamp(model.created_at) : '–', model.kind ?? '–', model.target ?? '–', number(model.training_rows), figure(model.metrics?.decision_point),
        figure(trial?.skill), model.metrics?.test_auc === undefined ? '–' : figure(model.metrics.test_auc), model.state.replace('_', ' ')];
    }), 'No version was trained yet.');
}

export function show(root) {
  const drawn = charts();
  const [training, jobs, levels, ledger, weights, versions, course] = [h('div'), h('div'), h('div', {}, h('p', { class: 'empty' }, 'The trades are counted…')), h('div'), h('div'), h('div'), h('div')];
  const skill = panel('Skill of what was tried', { class: 'half' });
  const points = panel('From which score each says yes', { class: 'half' });
  const symbol = h('select', { onchange: () => ask() });
  root.append(h('div', { class: 'grid' }, panel('Training', { class: 'half', id: 'training' }, training),
    panel('Decision points: what the trades allow', { class: 'half', id: 'phases' }, h('div', { class: 'row' }, h('label', {}, 'Symbol', symbol)), levels),
    panel('Trainings: what became a version', { id: 'trainings' }, versions), skill, points,
    panel('Importance over versions: share of each column in what a version says', { id: 'weights' }, weights),
    panel('Trial ledger: everything that was ever tried', { id: 'ledger' }, ledger),
    panel('Versions and steps, newest first', {}, course), panel('What recurs', {}, jobs)));
  let [last, of] = ['', ''];

  /** The decision points take the whole journal: they are asked for when a symbol is chosen, and no more. */
  function ask() {
    of = symbol.value;
    if (!of) { fill(levels, h('p', { class: 'empty' }, 'No symbol has trades yet.')); return; }
    fetchJson(`/api/phases?symbol=${encodeURIComponent(of)}`).then(({ phases: found }) => { if (found.symbol === symbol.value) fill(levels, phases(found)); })
      .catch((error) => fill(levels, h('p', { class: 'empty' }, error.message)));
  }
  function draw(models, events) {
    const tried = events.filter((event) => event.event === 'tried');
    const symbols = [...new Set([...models.map((model) => symbolOf(model.version)), ...tried.map((event) => event.symbol)])].sort();
    if (symbol.options.length !== symbols.length) {
      fill(symbol, symbols.map((name) => h('option', { value: name }, name)));
      if (symbols.includes(of)) symbol.value = of;
    }
    if (symbol.value !== of || !levels.querySelector('details')) ask();
    fill(versions, trainings(models, tried));
    fill(weights, importance(models));
    ledger.replaceChildren(table([{ name: 'time', t: true }, { name: 'symbol' }, { name: 'predicts' }, { name: 'model' }, { name: 'trades', n: true }, { name: 'columns', n: true }, { name: 'configurations', n: true }, { name: 'skill', n: true }, { name: 'beats linear, p', n: true }, { name: 'version' }],
      tried.slice(-100).reverse().map((event) => [stamp(event.at), event.symbol, event.target, event.model, number(event.closed_trades), number(event.columns?.length), number(event.configurations), figure(event.skill), figure(event.beats_linear_p), event.version ?? 'none registered']),
      'Nothing was tried yet.'),
    h('p', { class: 'small soft' }, `${number(tried.length)} trainings with ${number(tried.reduce((sum, event) => sum + event.configurations, 0))} configurations; each counts in the doubt about whatever is deployed.`));
    course.replaceChildren(table([{ name: 'time', t: true }, { name: 'event' }, { name: 'what', words: true }],
      events.filter((event) => event.event !== 'tried').slice(-60).reverse().map((event) => [stamp(event.at), event.event, words(event)]), 'Nothing yet.'));
    drawn.clear();
    fill(skill, h('h2', {}, 'Skill of what was tried'));
    fill(points, h('h2', {}, 'From which score each says yes'));
    const scored = tried.filter((event) => Number.isFinite(event.skill));
    if (scored.length < 2) skill.append(h('p', { class: 'empty' }, scored.length ? `One try so far, with a skill of ${figure(scored[0].skill)} on trades it had not seen.` : 'Nothing was tried yet.'));
    else drawn.add(skill, { title: 'Skill of what was tried', unit: 'AUC or correlation', x: scored.map((event) => seconds(event.at)), series: [{ name: 'skill', values: scored.map((event) => event.skill) }] });
    const deciding = models.filter((model) => Number.isFinite(model.metrics?.decision_point) && model.created_at);
    if (deciding.length < 2) points.append(h('p', { class: 'empty' }, deciding.length ? `${deciding[0].version} says yes from a score of ${figure(deciding[0].metrics.decision_point)} on.` : 'No version was trained yet.'));
    else drawn.add(points, { title: 'Decision point of each version', unit: 'score (0 to 1)', x: deciding.map((model) => seconds(model.created_at)), series: [{ name: 'says yes from', values: deciding.map((model) => model.metrics.decision_point), step: true }] });
  }
  const load = () => {
    fetchJson('/api/training').then((answer) => fill(training, running(answer.training)))
      .catch((error) => training.replaceChildren(h('p', { class: 'empty' }, error.message)));
    Promise.all([fetchJson('/api/models'), fetchJson('/api/events?kind=tried,trained,moved,imported&limit=20000')]).then(([{ models }, { events }]) => {
      const text = `${models.length} ${events.length} ${events.at(-1)?.seq}`;
      if (text === last) return;
      last = text;
      draw(models.sort((a, b) => seconds(a.created_at) - seconds(b.created_at)), events);
    }).catch(() => {});
  };
  load();
  const timer = setInterval(load, 4000);
  return { update: (kind) => { if (kind === 'status' || kind === 'open') fill(jobs, schedule(store.status?.jobs)); }, end: () => { clearInterval(timer); drawn.clear(); } };
}
