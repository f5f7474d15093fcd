// Signals: what was answered to each, and on what.

import { fetchJson, figure, fill, h, list, number, panel, percent, stamp, table, tag } from './dom.js';
import { store } from './live.js';

const REASONS = {
  production: 'the version in production spoke', ab_test: 'a version is under test', holdback: 'held back, to compare with', shadow: 'versions only watch this symbol',
  no_model: 'nothing is in service for this symbol', unknown_symbol: 'the symbol is not configured', missing_feature: 'no input was ever known',
  stale_inputs: 'too many inputs did not come', no_confidence: 'the signal had no confidence', deadline: 'the answer would have been late',
  locked: 'everything is locked', silenced: 'an emergency silences this symbol', journal_unavailable: 'it could not be recorded',
  invalid_score: 'the score was no probability', internal_error: 'a part of the daemon failed', trade_id_reused: 'the name of another trade', invalid_request: 'the request was at fault',
};
const KEPT = 300;

const armTag = (arm) => tag(arm === 'ml' ? 'good' : 'plain', arm ?? 'not scored');

function detail(entry) {
  const { decision } = entry;
  const inputs = Object.entries({ ...entry.features, ...entry.extra });
  const filled = inputs.filter(([, value]) => value === null).map(([name]) => name);
  const opinions = entry.opinions ?? [];
  return [
    list([
      ['trade', entry.trade_id], ['symbol and side', entry.symbol && `${entry.symbol}, ${entry.side}`], ['signal fired', entry.at && stamp(entry.at)],
      ['came', entry.received_at && stamp(entry.received_at)], ['answered in', entry.latency_us === undefined || entry.latency_us === null ? '–' : `${number(entry.latency_us, 0)} µs`],
      ['reason', decision ? `${decision.reason}: ${REASONS[decision.reason] ?? ''}` : 'it was not scored here'],
      ['own confidence', entry.confidence === undefined || entry.confidence === null ? '–' : figure(entry.confidence)],
    ]),
    h('h3', {}, 'What each version in service made of it'),
    table([{ name: 'version' }, { name: 'arm' }, { name: 'chance of it', n: true }, { name: 'score', n: true }, { name: 'size', n: true }],
      opinions.map((opinion) => [opinion.version, opinion.split ? opinion.split.arm : 'only watches', opinion.split ? percent(opinion.split.share, 0) : '–',
        opinion.score === null ? '–' : figure(opinion.score), `${figure(opinion.size)} ×`]), entry.features ? 'No version was in service.' : 'Not known here.'),
    h('h3', {}, 'Inputs'),
    filled.length ? h('p', { class: 'small warn' }, `▲ ${filled.length} of ${inputs.length} did not come with the signal: carried forward from an earlier one, or guessed.`) : null,
    table([{ name: 'input' }, { name: 'value', n: true }, { name: '' }],
      inputs.map(([name, value]) => [name, value === null ? '–' : figure(value), value === null ? tag('warn', 'filled in') : '']),
      'Not known here.'),
    h('p', { class: 'small soft' }, 'Which inputs moved the score is not among what the daemon says of a single signal.'),
  ].filter(Boolean);
}

export function show(root) {
  let entries = [];
  let selected = null;
  let arm = '';
  const rows = h('div');
  const more = panel('', { class: 'third', id: 'signal' });
  const filter = h('select', { onchange: () => { arm = filter.value; draw(); } },
    [['', 'all'], ['ml', 'a model had influence'], ['baseline', 'baseline']].map(([value, text]) => h('option', { value }, text)));
  root.append(h('div', { class: 'grid' },
    h('section', { class: 'panel two-thirds' }, h('h2', {}, 'Signals'), h('div', { class: 'row' }, h('label', {}, 'Arm', filter)), rows), more));

  const key = (entry) => entry.seq;
  function merge(found) {
    const known = new Map(entries.map((entry) => [key(entry), entry]));
    for (const entry of found) known.set(key(entry), { ...known.get(key(entry)), ...entry });
    entries = [...known.values()].sort((a, b) => b.seq - a.seq).slice(0, KEPT);
  }
  const of = ({ seq, at, event, ...decision }) => ({ seq, received_at: at, trade_id: decision.trade_id, decision });
  function draw() {
    const wanted = entries.filter((entry) => arm === '' || entry.decision?.arm === arm);
    if (selected === null && wanted.length) selected = wanted[0].seq;
    rows.replaceChildren(table(
      [{ name: 'time', t: true }, { name: 'trade' }, { name: 'arm' }, { name: 'score', n: true }, { name: 'size', n: true }, { name: 'model' }, { name: 'reason' }],
      wanted.slice(0, 120).map((entry) => ({
        attributes: { tabindex: 0, 'aria-selected': entry.seq === selected, onclick: () => choose(entry.seq), onkeydown: (event) => event.key === 'Enter' && choose(entry.seq) },
        cells: [stamp(entry.received_at), entry.trade_id, armTag(entry.decision?.arm), figure(entry.decision?.score), entry.decision ? `${figure(entry.decision.size)} ×` : '–',
          entry.decision?.model ?? '–', entry.decision?.reason ?? '–'],
      })), 'No signal came yet.'));
    const entry = entries.find((found) => found.seq === selected);
    fill(more, h('h2', {}, entry ? entry.trade_id : 'No signal is chosen'), ...(entry ? detail(entry) : []));
  }
  function choose(seq) { selected = seq; draw(); load(); }
  let asked = 0;
  function load() {
    asked = performance.now();
    return fetchJson('/api/signals').then(({ signals }) => { merge(signals); draw(); }).catch(() => {});
  }
  merge(store.decisions.map(of));
  load();
  return {
    update: (kind, data) => {
      if (kind === 'decision') {
        merge([of(data)]);
        draw();
        if (performance.now() - asked > 5000) load();
      } else if (kind === 'snapshot' || kind === 'open') { merge(store.decisions.map(of)); draw(); }
    },
  };
}
