// Versions: the passport of each, those that were rejected too: where it comes from, and the gates it passed or did not.

import { fetchJson, figure, fill, fillBar, h, list, number, panel, percent, signed, stamp, symbolOf, table, tag, time, who, words } from './dom.js';
import { ask } from './orders.js';

const ORDER = ['production', 'ab_test', 'staging', 'validated', 'trained', 'rolled_back', 'archived', 'rejected'];
const kindOf = (state) => ({ production: 'good', ab_test: 'good', rolled_back: 'bad', rejected: 'bad' }[state] ?? 'plain');
const inOrder = (a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.version.localeCompare(b.version, 'en', { numeric: true });
const byNumber = (a, b) => a.version.localeCompare(b.version, 'en', { numeric: true });
const OUTCOMES = { pass: ['good', 'passed'], fail: ['bad', 'not passed'], undefined: ['warn', 'not found out'] };
const VERDICTS = { deployable: ['good', 'may be deployed'], not_deployable: ['bad', 'may not be deployed'], insufficient: ['warn', 'too few trades for a verdict'] };

/** Pairs of a value and its limit among the numbers of a step. */
function gates(evidence) {
  const names = Object.keys(evidence).filter((name) => `${name}_limit` in evidence || `${name}_threshold` in evidence);
  return names.map((name) => ({ name, value: evidence[name], limit: evidence[`${name}_limit`] ?? evidence[`${name}_threshold`] }));
}
function step(event) {
  const found = gates(event.evidence ?? {});
  const rest = Object.entries(event.evidence ?? {}).filter(([name]) => !found.some((gate) => [gate.name, `${gate.name}_limit`, `${gate.name}_threshold`].includes(name)));
  return h('details', {}, h('summary', {}, stamp(event.at), ` ${String(event.step).replaceAll('_', ' ')}${event.overridden ? ' – override' : ''}`),
    h('p', { class: 'small' }, `${event.reason}, by ${who(event.by)}`),
    found.length ? table([{ name: 'gate' }, { name: 'value', n: true }, { name: 'limit', n: true }], found.map((gate) => [gate.name.replaceAll('_', ' '), figure(gate.value), figure(gate.limit)])) : null,
    rest.length ? h('p', { class: 'small soft' }, rest.map(([name, value]) => `${name.replaceAll('_', ' ')} ${figure(value)}`).join(', ')) : null);
}

/** The gates of the latest validation, those that were not passed first, with what would help. */
function validation(found) {
  if (!found) return [h('p', { class: 'empty' }, 'It was never validated.')];
  const rank = (check) => (check.outcome === 'pass' ? 2 : 0) + (check.hard ? 0 : 1);
  const rows = [...found.checks].sort((a, b) => rank(a) - rank(b)).map((check) => ({ attributes: { 'data-gate': check.part }, cells: [
    check.name, tag(...OUTCOMES[check.outcome]), figure(check.value), check.limit, check.hard ? 'needed' : 'counts',
    check.help ?? (check.outcome === 'pass' ? '' : '–')] }));
  return [h('p', {}, tag(...(VERDICTS[found.verdict] ?? ['plain', found.verdict])), ` ${found.summary}.`),
    table([{ name: 'gate' }, { name: '' }, { name: 'value', n: true }, { name: 'limit', n: true }, { name: 'weight' }, { name: 'what would help', words: true }], rows)];
}

/** Which version followed which, by what each was trained on. */
function lineage(models, tried, selected, choose) {
  const rows = [...models].sort(byNumber).map((model) => {
    const trial = tried.get(model.version);
    const span = model.training_span ? `${time(model.training_span[0]).slice(0, 10)} to ${time(model.training_span[1]).slice(0, 10)}` : '–';
    return { attributes: { 'aria-selected': model.version === selected, tabindex: 0, 'data-lineage': model.version, onclick: () => choose(model.version), onkeydown: (event) => event.key === 'Enter' && choose(model.version) },
      cells: [model.version, model.parent ?? 'the strategy alone', model.created_at ? stamp(model.created_at) : '–', number(model.training_rows), span,
        trial ? `${number(trial.configurations)} tried${trial.closed_trades === undefined ? '' : `, of ${number(trial.closed_trades)} closed trades`}` : '–',
        tag(kindOf(model.state), model.state.replace('_', ' '))] };
  });
  return table([{ name: 'version' }, { name: 'follows' }, { name: 'trained', t: true }, { name: 'fitted on (trades)', n: true }, { name: 'signals from – to', t: true }, { name: 'of what training' }, { name: 'state' }], rows, 'No version was trained yet.');
}

function importance(shares) {
  if (!shares?.length) return h('p', { class: 'empty' }, 'No column matters to what it says.');
  const sorted = [...shares].sort((a, b) => b[1] - a[1]);
  return table([{ name: 'column' }, { name: 'share of what it says' }], sorted.map(([name, share]) => [name, fillBar(share / sorted[0][1], percent(share))]));
}

export function show(root) {
  let [models, events, tried, selected, other, last] = [[], [], new Map(), null, '', ''];
  const [rows, passport, line, compared, tested] = [h('div'), panel('', { class: 'half', id: 'passport' }), h('div'), h('div'), panel('', { class: 'half', id: 'gates' })];
  const more = panel('', { class: 'half', id: 'importance' });
  const against = h('select', { onchange: () => { other = against.value; compare(); } });
  root.append(h('div', { class: 'grid' }, panel('Versions', { class: 'half' }, rows), passport, tested, more,
    panel('Lineage: what each followed', { id: 'lineage' }, line),
    panel('Compared', { id: 'compared' }, h('div', { class: 'row' }, h('label', {}, 'With', against)), compared)));

  function choose(version) { selected = version; draw(); }
  function draw() {
    rows.replaceChildren(table([{ name: 'version' }, { name: 'state' }, { name: 'kind' }, { name: 'predicts' }, { name: 'trades', n: true }, { name: 'test AUC', n: true }],
      models.map((model) => ({
        attributes: { tabindex: 0, 'aria-selected': model.version === selected, onclick: () => choose(model.version), onkeydown: (event) => event.key === 'Enter' && choose(model.version) },
        cells: [model.version, [tag(kindOf(model.state), model.state.replace('_', ' ')), model.overridden ? tag('warn', 'override') : ''].filter(Boolean),
          model.kind ?? '–', model.target ?? '–', number(model.training_rows), figure(model.metrics?.test_auc)],
      })), 'No version was trained yet: `vigie train`.'));
    const model = models.find((found) => found.version === selected);
    fill(line, lineage(models.filter((found) => !model || symbolOf(found.version) === symbolOf(model.version)), tried, selected, choose));
    if (!model) {
      fill(passport, h('h2', {}, 'Passport'), h('p', { class: 'empty' }, 'Choose a version.'));
      fill(tested, h('h2', {}, 'Gates'));
      fill(more, h('h2', {}, 'What its score rests on'));
      return;
    }
    const steps = events.filter((event) => event.version === selected && event.event === 'moved');
    const others = events.filter((event) => event.version === selected && ['shared', 'latched'].includes(event.event)).slice(-8);
    fill(passport, h('h2', {}, `Passport of ${selected}`),
      model.error ? h('p', { class: 'bad' }, `■ ${model.error}`) : null,
      list([['state', [tag(kindOf(model.state), model.state.replace('_', ' ')), model.overridden ? ' a gate was passed over for it' : '']], ['trained', model.created_at ? stamp(model.created_at) : '–'],
        ['follows', model.parent ?? 'the strategy alone: nothing was in production'], ['kind and target', `${model.kind ?? '–'}, ${model.target ?? '–'}`], ['fitted on', `${number(model.training_rows)} trades`]]),
      h('div', { class: 'row' }, h('button', { type: 'button', onclick: () => ask('promote', selected) }, 'Promote…'),
        h('button', { type: 'button', class: 'danger', onclick: () => ask('rollback', selected) }, 'Roll back…')),
      h('h3', {}, 'Its life, step by step'), ...(steps.length ? steps.map(step) : [h('p', { class: 'empty' }, 'It was trained, and nothing else yet.')]),
      ...(others.length ? [h('h3', {}, 'What happened to it'), ...others.map((event) => h('p', { class: 'small' }, stamp(event.at), ` ${words(event)}`))] : []),
      h('details', { id: 'facts' }, h('summary', {}, 'Everything that is kept of it'), h('div')));
    against.replaceChildren(...models.filter((found) => found.version !== selected).map((found) => h('option', { value: found.version }, found.version)), h('option', { value: '' }, 'nothing'));
    if (other === selected || !models.some((found) => found.version === other)) {
      // what it followed, else the one before it
      const before = models.filter((found) => symbolOf(found.version) === symbolOf(selected) && byNumber(found, model) < 0).sort(byNumber).at(-1);
      other = models.find((found) => found.version === model.parent)?.version ?? before?.version ?? models.find((found) => found.version !== selected)?.version ?? '';
    }
    against.value = other;
    const wanted = `/api/model?version=${encodeURIComponent(selected)}`;
    const is = selected;
    fetchJson(wanted).then(({ model: found }) => {
      if (is !== selected) return;

      fill(tested, h('h2', {}, `Gates of ${is}`), ...validation(found.validation), ...found.warnings.map((warning) => h('p', { class: 'small warn' }, `▲ ${warning}`)));
      fill(more, h('h2', {}, 'What its score rests on'), importance(found.importance),
        found.reliability.length ? [h('h3', {}, 'Its probabilities on trades it had not seen'), table([{ name: 'foretold', n: true }, { name: 'came true', n: true }, { name: 'trades', n: true }],
          found.reliability.map((bin) => [percent(bin.foretold), percent(bin.observed), number(bin.rows)]))] : null);
      passport.querySelector('#facts > div')?.replaceChildren(table([{ name: 'what' }, { name: 'is', words: true }], found.facts));
    }).catch((error) => { if (is === selected) { fill(tested, h('h2', {}, `Gates of ${is}`), h('p', { class: 'empty' }, error.message)); fill(more, h('h2', {}, 'What its score rests on')); } });
    compare();
  }
  function compare() {
    if (!selected || !other) { fill(compared, h('p', { class: 'empty' }, 'Nothing to compare.')); return; }
    const [one, two] = [selected, other];
    fetchJson(`/api/model?version=${encodeURIComponent(one)}&against=${encodeURIComponent(two)}`).then(({ differ }) => {
      if (one !== selected || two !== other) return;
      fill(compared, h('p', { class: 'small soft' }, `In what ${one} and ${two} differ, as \`vigie models diff\` tells it; what is the same is left out.`),
        table([{ name: 'what' }, { name: one, words: true }, { name: two, words: true }, { name: 'more or less', n: true }],
          differ.map(([name, a, b]) => {
            const [x, y] = [Number(a), Number(b)];
            return [name.replaceAll('_', ' '), a, b, a !== null && b !== null && a !== '' && Number.isFinite(x) && Number.isFinite(y) ? signed(x - y) : ''];
          }), 'They do not differ.'));
    }).catch((error) => fill(compared, h('p', { class: 'empty' }, error.message)));
  }
  const load = () => Promise.all([fetchJson('/api/models'), fetchJson('/api/events?kind=moved,shared,latched,tried&limit=20000')]).then(([answer, found]) => {
    const text = JSON.stringify([answer, found]);
    if (text === last) return;
    last = text;
    models = answer.models.sort(inOrder);
    events = found.events.map((event) => ({ ...event, version: event.version ?? event.trip?.version }));
    tried = new Map(events.filter((event) => event.event === 'tried' && event.version).map((event) => [event.version, event]));
    if (!models.some((model) => model.version === selected)) selected = models[0]?.version ?? null;
    draw();
  }).catch((error) => rows.replaceChildren(h('p', { class: 'empty' }, error.message)));
  load();
  return { update: (kind, data) => { if (kind === 'event' && ['moved', 'trained', 'shared', 'latched'].includes(data.event)) setTimeout(load, 3100); } };
}
