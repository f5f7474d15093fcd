// Versions: the passport of each, those that were rejected too, with the gates it passed or did not.

import { fetchJson, figure, fill, h, list, number, panel, stamp, table, tag, who, words } from './dom.js';
import { ask } from './orders.js';

const ORDER = ['production', 'ab_test', 'staging', 'validated', 'trained', 'rolled_back', 'archived', 'rejected'];
const kindOf = (state) => ({ production: 'good', ab_test: 'good', rolled_back: 'bad', rejected: 'bad' }[state] ?? 'plain');
const inOrder = (a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.version.localeCompare(b.version, 'en', { numeric: true });

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

export function show(root) {
  let [models, events, selected, other, last] = [[], [], null, '', ''];
  const [rows, passport, compared] = [h('div'), panel('', { class: 'half', id: 'passport' }), h('div')];
  const against = h('select', { onchange: () => { other = against.value; compare(); } });
  root.append(h('div', { class: 'grid' }, panel('Versions', { class: 'half' }, rows), passport,
    panel('Compared', {}, h('div', { class: 'row' }, h('label', {}, 'With', against)), compared)));

  function choose(version) { selected = version; draw(); }
  function draw() {
    rows.replaceChildren(table([{ name: 'version' }, { name: 'state' }, { name: 'kind' }, { name: 'predicts' }, { name: 'trades', n: true }, { name: 'test AUC', n: true }],
      models.map((model) => ({
        attributes: { tabindex: 0, 'aria-selected': model.version === selected, onclick: () => choose(model.version), onkeydown: (event) => event.key === 'Enter' && choose(model.version) },
        cells: [model.version, [tag(kindOf(model.state), model.state.replace('_', ' ')), model.overridden ? tag('warn', 'override') : ''].filter(Boolean),
          model.kind ?? '–', model.target ?? '–', number(model.training_rows), figure(model.metrics?.test_auc)],
      })), 'No version was trained yet: `vigie train`.'));
    const model = models.find((found) => found.version === selected);
    if (!model) { passport.replaceChildren(h('h2', {}, 'Passport'), h('p', { class: 'empty' }, 'Choose a version.')); return; }
    const steps = events.filter((event) => event.version === selected && event.event === 'moved');
    const others = events.filter((event) => event.version === selected && ['shared', 'latched'].includes(event.event)).slice(-8);
    fill(passport, h('h2', {}, `Passport of ${selected}`),
      model.error ? h('p', { class: 'bad' }, `■ ${model.error}`) : null,
      list([['state', [tag(kindOf(model.state), model.state.replace('_', ' ')), model.overridden ? ' a gate was passed over for it' : '']], ['trained', model.created_at ? stamp(model.created_at) : '–'],
        ['kind and target', `${model.kind ?? '–'}, ${model.target ?? '–'}`], ['fitted on', `${number(model.training_rows)} trades`]]),
      h('div', { class: 'row' }, h('button', { type: 'button', onclick: () => ask('promote', selected) }, 'Promote…'),
        h('button', { type: 'button', class: 'danger', onclick: () => ask('rollback', selected) }, 'Roll back…')),
      h('h3', {}, 'Its life, gate by gate'), ...(steps.length ? steps.map(step) : [h('p', { class: 'empty' }, 'It was trained, and nothing else yet.')]),
      ...(others.length ? [h('h3', {}, 'What happened to it'), ...others.map((event) => h('p', { class: 'small' }, stamp(event.at), ` ${words(event)}`))] : []));
    passport.querySelector('details')?.setAttribute('open', '');
    against.replaceChildren(...models.filter((found) => found.version !== selected).map((found) => h('option', { value: found.version }, found.version)), h('option', { value: '' }, 'nothing'));
    if (!models.some((found) => found.version === other)) other = models.find((found) => found.version !== selected)?.version ?? '';
    against.value = other;
    compare();
  }
  function compare() {
    const [one, two] = [selected, other].map((version) => models.find((found) => found.version === version));
    const names = Object.keys(one?.metrics ?? {}).filter((name) => /^(test_|gain|money|overall|baseline_|decision)/.test(name));
    const columns = [{ name: 'figure' }, { name: one?.version ?? '–', n: true }, ...(two ? [{ name: two.version, n: true }, { name: 'difference', n: true }] : [])];
    compared.replaceChildren(table(columns, names.map((name) => {
      const [a, b] = [one.metrics[name], two?.metrics?.[name]];
      return [name.replaceAll('_', ' '), figure(a), ...(two ? [figure(b), Number.isFinite(a) && Number.isFinite(b) ? figure(a - b) : '–'] : [])];
    }), 'Nothing to compare.'));
  }
  const load = () => Promise.all([fetchJson('/api/models'), fetchJson('/api/events?kind=moved,shared,latched&limit=5000')]).then(([answer, found]) => {
    const text = JSON.stringify([answer, found]);
    if (text === last) return;
    last = text;
    models = answer.models.sort(inOrder);
    events = found.events.map((event) => ({ ...event, version: event.version ?? event.trip?.version }));
    if (!models.some((model) => model.version === selected)) selected = models[0]?.version ?? null;
    draw();
  }).catch((error) => rows.replaceChildren(h('p', { class: 'empty' }, error.message)));
  load();
  return { update: (kind, data) => { if (kind === 'event' && ['moved', 'trained', 'shared', 'latched'].includes(data.event)) setTimeout(load, 3100); } };
}
